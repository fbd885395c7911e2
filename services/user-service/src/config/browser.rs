use chrono::TimeDelta;
use common::settings::{Period, Secret, Setting};
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
    /// Whether the older cookies are good for anything.
    pub accept_v4: bool,
    /// Percent of people with replays that takes the newer cookies back; 0 is none.
    pub step_back_replays: u8,
    /// The same of refused CSRF tokens.
    pub step_back_csrf: u8,
    /// The same of refreshes that fail.
    pub step_back_failures: u8,
    /// So many people have to be concerned at least.
    pub step_back_least: u32,
    /// How far back is counted.
    pub step_back_window: Period,
}

/// What was seen longer ago counts nowhere.
pub const LONGEST_STEP_BACK_WINDOW: TimeDelta = TimeDelta::days(1);

impl BrowserSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, percent) in [
            ("rollout_share", self.rollout_share),
            ("step_back_replays", self.step_back_replays),
            ("step_back_csrf", self.step_back_csrf),
            ("step_back_failures", self.step_back_failures),
        ] {
            if percent > 100 {
                return Err(format!("`browser.{key}` is a percentage"));
            }
        }
        if self.step_back_least < 2 {
            return Err(
                "`browser.step_back_least` must be at least 2: nobody is to force it alone"
                    .to_owned(),
            );
        }
        let window = self.step_back_window.as_delta();
        if window < TimeDelta::minutes(1) || window > LONGEST_STEP_BACK_WINDOW {
            return Err("`browser.step_back_window` must be from 1 minute to 1 day".to_owned());
        }
        Ok(())
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
    Setting::new("browser.accept_v4", "Whether v4 cookies are read and given out; false once `latchkey rollout show` says at 100 that no live session may have them: then nothing that another host of the domain sets is taken for ours. Previews have v5 alone")
        .default("true"),
    Setting::new("browser.step_back_replays", "All go back to v4 where, of the people with live v5 sessions, this percentage had one ended by a replay; 0 never")
        .default("2"),
    Setting::new("browser.step_back_csrf", "The same where a page of ours sent a wrong CSRF token in them; 0 never")
        .default("10"),
    Setting::new("browser.step_back_failures", "The same where a refresh failed although the session lives; 0 never")
        .default("10"),
    Setting::new("browser.step_back_least", "So many people, with accounts older than the decision, must be concerned, whatever the percentage; at least 2")
        .default("20"),
    Setting::new("browser.step_back_window", "How far back is counted for it, from 1m to 1d").default("1h"),
];
