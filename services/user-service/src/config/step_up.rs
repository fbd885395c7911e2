use common::settings::{List, Period};
use serde::Deserialize;
use webauthn_rs::prelude::Url;

use super::Settings;

/// Section `api_keys`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// What users may choose from.
    pub scopes: List<String>,
    /// The longest that one may work.
    pub life: Period,
}

impl ApiKeySettings {
    /// Introspection joins them with spaces.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = self.scopes.0.iter().find(|scope| !is_scope(scope));
        wrong.map_or(Ok(()), |_| {
            Err("`api_keys.scopes` must be names without spaces, quotes or backslashes".to_owned())
        })
    }
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Section `passkeys`, which may be empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeySettings {
    /// The relying party's domain, where it is not that of the public URL.
    pub rp_id: Option<String>,
    /// Where the ceremonies may run beside the pages of `cors.allowed_origins`, where it is not the
    /// public URL.
    pub origins: Option<List<Url>>,
}

impl Settings {
    /// The domain that passkeys are bound to, and the origins that may use them: the pages of
    /// `cors.allowed_origins` beneath it, and those of `passkeys.origins`, or else the public URL's.
    /// None where there is no domain.
    pub(crate) fn passkey_place(&self) -> Result<Option<(String, Vec<Url>)>, String> {
        let public_url = Url::parse(self.base_url())
            .map_err(|error| format!("`public_url` is no URL: {error}"))?;
        let given = self.passkeys.rp_id.as_deref();
        let Some(rp_id) = given.or(public_url.domain()).map(str::to_owned) else { return Ok(None) };
        let pages = self.cors.allowed_origins.0.iter();
        let pages = pages.filter_map(|page| Url::parse(page.as_str()).ok());
        let mut origins: Vec<_> = pages.filter(|page| is_beneath(page, &rp_id)).collect();
        match &self.passkeys.origins {
            Some(given) => origins.extend_from_slice(&given.0),
            None if origins.is_empty() || is_beneath(&public_url, &rp_id) => {
                origins.push(public_url);
            }
            None => {}
        }
        Ok(Some((rp_id, origins)))
    }
}

fn is_beneath(page: &Url, domain: &str) -> bool {
    page.domain()
        .and_then(|host| host.strip_suffix(domain))
        .is_some_and(|host| host.is_empty() || host.ends_with('.'))
}
