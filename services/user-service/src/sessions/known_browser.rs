//! What a browser keeps for a year to show that somebody has signed in with it before: `lkb_` and
//! base64url of `version | browser | user | password's version | time | MAC`. It opens nothing; it
//! only spares its user the waits that strangers bring upon their name, and tells one browser from
//! another.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::Mac as _;
use uuid::Uuid;

use super::MacKeys;
use super::token::mac;
use crate::models::user::User;

const PREFIX: &str = "lkb_";
/// Keeps these MACs apart from those of refresh tokens, which are under the same keys.
const LABEL: &[u8] = b"known browser";
const SIGNED: usize = 1 + 16 + 16 + 4 + 8;
const LENGTH: usize = SIGNED + 32;

/// A browser, and who signed in with it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBrowser {
    /// Random, made at its first login; never shown to anybody.
    pub id: Uuid,
    user_id: Uuid,
    password_version: i32,
    /// Whole seconds.
    logged_in_at: i64,
}

impl KnownBrowser {
    /// How long a browser is known after the last login, or change of the password, in it.
    pub const KNOWN_FOR: Duration = Duration::from_hours(365 * 24);

    /// `user` in the browser that showed `shown`, or in one that is new.
    #[must_use]
    pub fn of(shown: Option<Self>, user: &User, now: DateTime<Utc>) -> Self {
        Self {
            id: shown.map_or_else(Uuid::new_v4, |shown| shown.id),
            user_id: user.id,
            password_version: user.password_version,
            logged_in_at: now.timestamp(),
        }
    }

    /// Whether `user` has signed in here within the year, and with the password of today: who has
    /// learned a former one, and collected cookies with it, has nothing of them.
    #[must_use]
    pub fn is_known_to(&self, user: &User, now: DateTime<Utc>) -> bool {
        let age = now.timestamp().saturating_sub(self.logged_in_at);
        self.user_id == user.id
            && self.password_version == user.password_version
            && age < Self::KNOWN_FOR.as_secs().cast_signed()
    }

    /// As the browser keeps it; `None` where the writing key is missing.
    #[must_use]
    pub fn render(&self, keys: &MacKeys) -> Option<String> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(keys.writing_version());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.user_id.as_bytes());
        bytes.extend_from_slice(&self.password_version.to_be_bytes());
        bytes.extend_from_slice(&self.logged_in_at.to_be_bytes());
        let tag = mac(keys.find(keys.writing_version())?, &labelled(&bytes)).finalize();
        bytes.extend_from_slice(&tag.into_bytes());
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// `None` for anything that is not one of ours.
    #[must_use]
    pub fn parse(keys: &MacKeys, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        if encoded.len() != (LENGTH * 4).div_ceil(3) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED)?;
        mac(keys.find(*signed.first()?)?, &labelled(signed)).verify_slice(tag).ok()?;
        Some(Self {
            id: Uuid::from_slice(&signed[1..17]).ok()?,
            user_id: Uuid::from_slice(&signed[17..33]).ok()?,
            password_version: i32::from_be_bytes(signed[33..37].try_into().ok()?),
            logged_in_at: i64::from_be_bytes(signed[37..].try_into().ok()?),
        })
    }
}

fn labelled(signed: &[u8]) -> Vec<u8> {
    [LABEL, signed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + day * 24 * 60 * 60, 0).unwrap()
    }

    fn user(password_version: i32) -> User {
        User {
            id: Uuid::new_v4(),
            username: "alice".to_owned(),
            username_key: "alice".to_owned(),
            password_hash: String::new(),
            password_version,
            display_name: None,
            phone_number: None,
            email: None,
            avatar_url: None,
            created_at: at(0),
            updated_at: at(0),
            last_login_at: None,
        }
    }

    fn keys() -> MacKeys {
        MacKeys::parse(&format!("2:{},1:{}", "ab".repeat(32), "cd".repeat(32))).unwrap()
    }

    #[test]
    fn a_browser_is_known_again_and_any_changed_character_makes_it_a_stranger() {
        let browser = KnownBrowser::of(None, &user(1), at(0));
        let text = browser.render(&keys()).unwrap();
        assert_eq!(KnownBrowser::parse(&keys(), &text), Some(browser));
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(KnownBrowser::parse(&keys(), &changed), None, "{index}");
        }
        assert_eq!(KnownBrowser::parse(&keys(), &format!("{text}A")), None);
        assert_eq!(KnownBrowser::parse(&keys(), ""), None);
    }

    #[test]
    fn another_user_in_the_same_browser_is_known_in_the_first_one_s_place() {
        let (alice, bob) = (user(1), user(1));
        let first = KnownBrowser::of(None, &alice, at(0));
        let second = KnownBrowser::of(Some(first), &bob, at(0));
        assert_eq!(first.id, second.id);
        assert!(second.is_known_to(&bob, at(0)) && !second.is_known_to(&alice, at(0)));
    }

    #[test]
    fn a_browser_is_known_for_a_year_and_until_the_password_changes() {
        let mut user = user(1);
        let browser = KnownBrowser::of(None, &user, at(10));
        for (day, known) in [(0, true), (10, true), (374, true), (375, false), (10_000, false)] {
            assert_eq!(browser.is_known_to(&user, at(day)), known, "{day}");
        }
        user.password_version = 2;
        assert!(!browser.is_known_to(&user, at(10)));
    }
}
