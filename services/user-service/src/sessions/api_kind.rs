use crate::config::Settings;

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
