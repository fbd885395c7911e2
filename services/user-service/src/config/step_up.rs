use common::settings::{List, Period};
use serde::Deserialize;
use webauthn_rs::prelude::Url;

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
    /// Where the ceremonies may run, where it is not the public URL.
    pub origins: Option<List<Url>>,
}
