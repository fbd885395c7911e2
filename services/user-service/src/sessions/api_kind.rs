use crate::config::Settings;
use crate::error::Error;

/// The two ways in. A session refreshes only through the one that opened it, and its access tokens
/// are good at the other's endpoints neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKind {
    /// Apps and services: tokens in bodies and in `Authorization`.
    Bearer,
    /// Browsers: tokens in cookies.
    Cookie,
}

impl ApiKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Cookie => "cookie",
        }
    }

    /// What is said to an access token that is not good, or not any more; why is for the log alone.
    pub(super) fn refuse(self, reason: &'static str) -> Error {
        tracing::info!(reason, "token_refused");
        match self {
            Self::Bearer => Error::Unauthorized { token_sent: true },
            Self::Cookie => Error::NotSignedIn { cookie_sent: true },
        }
    }

    /// Whom tokens are issued to, and for what.
    pub(super) fn client_and_scope(self, settings: &Settings) -> (&str, &str) {
        match self {
            Self::Bearer => (&settings.token.client_id, &settings.token.scope),
            Self::Cookie => (&settings.browser.client_id, &settings.browser.scope),
        }
    }

    /// How a person has proved who they are once a login through it succeeds (RFC 8176).
    pub(super) fn amr(self) -> Vec<String> {
        let methods: &[&str] = match self {
            Self::Bearer => &["pwd", "hwk"],
            Self::Cookie => &["pwd"],
        };
        methods.iter().map(|method| (*method).to_owned()).collect()
    }
}
