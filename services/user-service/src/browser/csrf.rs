//! CSRF tokens: `<version>.<base64url MAC>` over whose they are, the user agent and the day.
//!
//! Nothing is stored: whoever is shown one again computes it again. A page on another host can
//! neither read one nor make one for a session that it does not have.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::versioned_keys::VersionedKeys;

const DAY: i64 = 24 * 60 * 60;
/// Today's key and its predecessor.
const MAX_KEYS: usize = 2;

/// Versioned keys: the first writes, both read.
#[derive(Clone)]
pub struct CsrfKeys(VersionedKeys);

impl CsrfKeys {
    /// From `version:<64 hex>[,…]`, versions 1 to 255, one or two.
    pub fn parse(text: &str) -> Result<Self, String> {
        VersionedKeys::parse("browser.csrf_keys", text, MAX_KEYS).map(Self)
    }

    /// The token of `subject`, a session's id or before login the pre-session's; the same all day.
    #[must_use]
    pub fn issue(&self, subject: Uuid, user_agent: Option<&str>, now: DateTime<Utc>) -> String {
        let (version, key) = self.0.writing();
        let tag = mac(key, subject, user_agent, day(now));
        format!("{version}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether `token` is that of `subject` and `user_agent`, of today or yesterday. A wrong one
    /// takes as long as a good one.
    #[must_use]
    pub fn verify(
        &self,
        token: &str,
        subject: Uuid,
        user_agent: Option<&str>,
        now: DateTime<Utc>,
    ) -> bool {
        let Some((version, encoded)) = token.split_once('.') else { return false };
        // As it is written, so that one token has one form: no sign and no zero before it.
        let version = version.parse().ok().filter(|number: &u8| number.to_string() == version);
        let key = version.and_then(|version| self.0.find(version));
        let (Some(key), Ok(given)) = (key, URL_SAFE_NO_PAD.decode(encoded)) else {
            return false;
        };
        let today = day(now);
        let matches = |day| mac(key, subject, user_agent, day).ct_eq(&given[..]);
        (matches(today) | matches(today - 1)).into()
    }

    /// Whether a token made now passes, and no other does.
    pub fn readiness(&self, now: DateTime<Utc>) -> Result<(), String> {
        let token = self.issue(Uuid::nil(), None, now);
        let passes = |subject| self.verify(&token, subject, None, now);
        let sound = passes(Uuid::nil()) && !passes(Uuid::max());
        sound.then_some(()).ok_or_else(|| "CSRF tokens are not recognised".to_owned())
    }
}

fn day(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(DAY)
}

/// All parts but the last have one length each, so that no two inputs are the same bytes.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8], subject: Uuid, user_agent: Option<&str>, day: i64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(b"latchkey csrf v5\0");
    mac.update(subject.as_bytes());
    mac.update(&day.to_be_bytes());
    mac.update(&[u8::from(user_agent.is_some())]);
    mac.update(user_agent.unwrap_or_default().as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn keys(text: &str) -> CsrfKeys {
        CsrfKeys::parse(&text.replace("K1", &"ab".repeat(32)).replace("K2", &"cd".repeat(32)))
            .unwrap()
    }

    /// Noon, so that a day more or less is a whole bucket.
    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 / DAY * DAY + DAY / 2, 0).unwrap()
    }

    #[test]
    fn a_token_of_today_and_yesterday_passes_and_an_older_or_later_one_does_not() {
        let (keys, subject) = (keys("1:K1"), Uuid::new_v4());
        let token = keys.issue(subject, Some("a"), noon());
        assert_eq!(token, keys.issue(subject, Some("a"), noon() + TimeDelta::hours(11)));
        for (days, passes) in [(0, true), (1, true), (2, false), (-1, false)] {
            let then = noon() + TimeDelta::days(days);
            assert_eq!(keys.verify(&token, subject, Some("a"), then), passes, "{days}");
        }
    }

    #[test]
    fn a_token_of_another_session_or_another_agent_is_refused() {
        let (keys, subject) = (keys("1:K1"), Uuid::new_v4());
        let token = keys.issue(subject, Some("a"), noon());
        assert!(!keys.verify(&token, Uuid::new_v4(), Some("a"), noon()));
        assert!(!keys.verify(&token, subject, Some("b"), noon()));
        assert!(!keys.verify(&token, subject, Some(""), noon()));
        assert!(!keys.verify(&token, subject, None, noon()));
    }

    #[test]
    fn the_former_key_still_reads_and_one_that_is_gone_does_not() {
        let subject = Uuid::new_v4();
        let token = keys("1:K1").issue(subject, None, noon());
        assert!(keys("2:K2,1:K1").verify(&token, subject, None, noon()));
        assert!(!keys("2:K2").verify(&token, subject, None, noon()));
        assert!(!keys("1:K2").verify(&token, subject, None, noon()));
        assert!(keys("2:K2,1:K1").issue(subject, None, noon()).starts_with("2."));
    }

    #[test]
    fn any_changed_character_is_refused() {
        let (keys, subject) = (keys("1:K1"), Uuid::new_v4());
        let token = keys.issue(subject, None, noon());
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!keys.verify(&changed, subject, None, noon()), "{index}");
        }
        for bad in [
            "",
            ".",
            "1.",
            "1",
            &format!("0{token}"),
            &format!("+{token}"),
            &token[..token.len() - 1],
            &format!("{token}A"),
        ] {
            assert!(!keys.verify(bad, subject, None, noon()), "{bad}");
        }
    }

    #[test]
    fn there_is_one_predecessor_and_no_more() {
        let key = "00".repeat(32);
        let error = CsrfKeys::parse(&format!("1:{key},2:{key},3:{key}")).map(drop).unwrap_err();
        assert!(error.starts_with("`browser.csrf_keys`: key 3"), "{error}");
    }
}
