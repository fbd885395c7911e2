//! What a browser keeps for a year to show that somebody has signed in with it before: `lkb_` and
//! base64url of `version | browser | user | MAC`. It opens nothing; it only spares its user the
//! waits that strangers bring upon their name, and tells one browser from another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use uuid::Uuid;

use super::MacKeys;
use super::token::mac;

const PREFIX: &str = "lkb_";
/// Keeps these MACs apart from those of refresh tokens, which are under the same keys.
const LABEL: &[u8] = b"known browser";
const SIGNED: usize = 1 + 16 + 16;
const LENGTH: usize = SIGNED + 32;

/// A browser, and who signed in with it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBrowser {
    /// Random, made at its first login; never shown to anybody.
    pub id: Uuid,
    /// Who.
    pub user_id: Uuid,
}

impl KnownBrowser {
    /// `user` in the browser that showed `shown`, or in one that is new.
    #[must_use]
    pub fn of(shown: Option<Self>, user_id: Uuid) -> Self {
        Self { id: shown.map_or_else(Uuid::new_v4, |shown| shown.id), user_id }
    }

    /// As the browser keeps it; `None` where the writing key is missing.
    #[must_use]
    pub fn render(&self, keys: &MacKeys) -> Option<String> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(keys.writing_version());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.user_id.as_bytes());
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
            user_id: Uuid::from_slice(&signed[17..]).ok()?,
        })
    }
}

fn labelled(signed: &[u8]) -> Vec<u8> {
    [LABEL, signed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> MacKeys {
        MacKeys::parse(&format!("2:{},1:{}", "ab".repeat(32), "cd".repeat(32))).unwrap()
    }

    #[test]
    fn a_browser_is_known_again_and_any_changed_character_makes_it_a_stranger() {
        let browser = KnownBrowser::of(None, Uuid::new_v4());
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
        let first = KnownBrowser::of(None, Uuid::new_v4());
        let second = KnownBrowser::of(Some(first), Uuid::new_v4());
        assert_eq!(first.id, second.id);
        assert_ne!(first.user_id, second.user_id);
    }
}
