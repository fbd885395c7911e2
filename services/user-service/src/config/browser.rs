use common::settings::{Secret, Setting};
use serde::Deserialize;

/// Section `browser`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserSettings {
    /// `version:<64 hex>`, one or two; the first writes, both read.
    pub csrf_keys: Secret,
    /// `Domain` of the access cookie.
    pub cookie_domain: Option<String>,
    /// `client_id` of the cookie API.
    pub client_id: String,
    /// `scope` of the cookie API.
    pub scope: String,
    /// Percent of sessions that get the newer cookies, until somebody decides otherwise.
    pub rollout_share: u8,
}

impl BrowserSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        let whole = self.rollout_share <= 100;
        whole.then_some(()).ok_or_else(|| "`browser.rollout_share` is a percentage".to_owned())
    }
}

pub(super) const BROWSER: &[Setting] = &[
    Setting::new("browser.csrf_keys", "Keys under CSRF tokens: `version:<64 hex>`, version 1 to 255, today's and perhaps the former one; the first writes, both read")
        .secret()
        .development("1:6373726620746f6b656e20646576656c6f706d656e74206b6579206f6e6c7921"),
    Setting::new("browser.cookie_domain", "`Domain` of the access cookie, where other hosts beneath it should get it too; no other cookie ever has one"),
    Setting::new("browser.client_id", "`client_id` of sessions opened through the cookie API")
        .default("latchkey-web"),
    Setting::new("browser.scope", "`scope` of such sessions").default("chat"),
    Setting::new("browser.rollout_share", "Percent of browsers' sessions that get the newer cookies (v5, the others v4) in a database in which nobody has decided yet; then `latchkey rollout set` does")
        .default("5"),
];
