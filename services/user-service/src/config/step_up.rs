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

/// Section `passkeys`, which may be empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeySettings {
    /// The relying party's domain, where it is not that of the public URL.
    pub rp_id: Option<String>,
    /// Where the ceremonies may run, where it is not the public URL.
    pub origins: Option<List<Url>>,
}
