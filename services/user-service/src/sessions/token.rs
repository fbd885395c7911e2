//! The refresh token: `lkr_` and base64url of `version | family | counter | r | MAC`.
//!
//! The MAC under a server key refuses forged tokens without the database. `r` is an HMAC of the
//! counter under the family's own secret, so that the server key alone forges nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::versioned_keys::VersionedKeys;

const PREFIX: &str = "lkr_";
/// Version, family, counter, `r`.
const SIGNED: usize = 1 + 16 + 8 + 32;
const LENGTH: usize = SIGNED + 32;

/// Versioned server keys: the first writes, all read.
#[derive(Clone)]
pub struct MacKeys(VersionedKeys);

impl MacKeys {
    /// From `version:<64 hex>[,…]`, versions 1 to 255, each once.
    pub fn parse(text: &str) -> Result<Self, String> {
        VersionedKeys::parse("refresh.mac_keys", text, usize::MAX).map(Self)
    }

    /// The version that new tokens carry.
    #[must_use]
    pub fn writing_version(&self) -> u8 {
        self.0.writing().0
    }

    pub(super) fn find(&self, version: u8) -> Option<&[u8; 32]> {
        self.0.find(version)
    }
}

/// A refresh token whose MAC holds: one of ours, though perhaps not of today.
#[derive(PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) family: Uuid,
    pub(super) counter: i64,
    r: [u8; 32],
}

common::hide!(RefreshToken);

impl RefreshToken {
    /// The token of `family` at `counter`, the same whenever it is asked for.
    pub(super) fn render(
        keys: &MacKeys,
        version: u8,
        family: Uuid,
        counter: i64,
        secret: &[u8],
    ) -> Option<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(version);
        bytes.extend_from_slice(family.as_bytes());
        bytes.extend_from_slice(&counter.to_be_bytes());
        bytes.extend_from_slice(&counter_mac(secret, counter));
        let tag = mac(keys.find(version)?, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    /// Parses a token and checks its MAC; `None` for anything that is not one of ours.
    pub(super) fn parse(keys: &MacKeys, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        // Four characters carry three bytes; anything longer is not worth decoding.
        if encoded.len() > LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED)?;
        mac(keys.find(*signed.first()?)?, signed).verify_slice(tag).ok()?;
        Some(Self {
            family: Uuid::from_slice(&signed[1..17]).ok()?,
            counter: i64::from_be_bytes(signed[17..25].try_into().ok()?),
            r: signed[25..].try_into().ok()?,
        })
    }

    /// Whether `secret` is the one that it was made with.
    pub(super) fn is_of(&self, secret: &[u8]) -> bool {
        counter_mac(secret, self.counter).ct_eq(&self.r).into()
    }
}

fn counter_mac(secret: &[u8], counter: i64) -> [u8; 32] {
    mac(secret, &counter.to_be_bytes()).finalize().into_bytes().into()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(super) fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> MacKeys {
        MacKeys::parse(&format!("2:{},1:{}", "ab".repeat(32), "cd".repeat(32))).unwrap()
    }

    #[test]
    fn a_token_comes_back_and_is_the_same_each_time() {
        let family = Uuid::new_v4();
        let render = || RefreshToken::render(&keys(), 1, family, 7, b"secret").unwrap();
        assert_eq!(render(), render());
        let token = RefreshToken::parse(&keys(), &render()).unwrap();
        assert_eq!((token.family, token.counter), (family, 7));
        assert!(token.is_of(b"secret"));
        assert!(!token.is_of(b"another"));
    }

    #[test]
    fn any_changed_character_is_refused() {
        let token = RefreshToken::render(&keys(), 2, Uuid::new_v4(), 1, b"secret").unwrap();
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(RefreshToken::parse(&keys(), &changed), None, "{index}");
        }
        assert_eq!(RefreshToken::parse(&keys(), &token[..token.len() - 4]), None);
        assert_eq!(RefreshToken::parse(&keys(), &format!("{token}AAAA")), None);
        assert_eq!(RefreshToken::parse(&keys(), ""), None);
    }

    #[test]
    fn what_holds_a_token_shows_nothing_of_it() {
        let text = RefreshToken::render(&keys(), 2, Uuid::nil(), 1, b"secret").unwrap();
        let token = RefreshToken::parse(&keys(), &text);
        let pair = super::super::TokenPair {
            access_token: text.clone(),
            refresh_token: text,
            expires_in: 1,
            refresh_expires_in: 1,
        };
        assert_eq!(format!("{token:?} {pair:?}"), "Some(RefreshToken { .. }) TokenPair { .. }");
    }
}
