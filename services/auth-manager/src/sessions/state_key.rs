use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a state token signs, so that the key's tags can't be taken for anything else.
const PURPOSE: &[u8] = b"latchkey state token v1";
pub(super) const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

/// Signs state tokens with HMAC-SHA-256; clones share the key.
#[derive(Clone)]
pub struct StateKey(Arc<Zeroizing<[u8; 32]>>);

impl StateKey {
    /// From 64 hex characters; the error never quotes any of them.
    pub fn parse(hex: &str) -> Result<Self, String> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(hex, key.as_mut()).map_err(|_| "is not 64 hex characters")?;
        Ok(Self(Arc::new(key)))
    }

    /// `base64url(id | HMAC)`.
    pub(super) fn sign(&self, id: &[u8; ID_BYTES]) -> String {
        let tag = self.mac(id).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([id.as_slice(), tag.as_slice()].concat())
    }

    /// The id in a token that this key has signed.
    pub(super) fn open(&self, token: &str) -> Option<[u8; ID_BYTES]> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, tag) = bytes.split_first_chunk::<ID_BYTES>()?;
        if tag.len() != TAG_BYTES {
            return None;
        }
        self.mac(id).verify_slice(tag).ok()?;
        Some(*id)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, id: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any key length");
        mac.update(PURPOSE);
        mac.update(id);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_under_its_own_key_only_and_only_whole() {
        let key = StateKey::parse(&"01".repeat(32)).unwrap();
        let token = key.sign(&[7; ID_BYTES]);
        assert_eq!(key.open(&token), Some([7; ID_BYTES]));
        assert_eq!(StateKey::parse(&"02".repeat(32)).unwrap().open(&token), None);
        assert_eq!(key.open(&token[..token.len() - 2]), None);
        let other = key.sign(&[8; ID_BYTES]);
        assert_eq!(key.open(&format!("{}{}", &other[..20], &token[20..])), None);
        assert_eq!(key.open(""), None);
    }

    #[test]
    fn a_key_that_is_no_key_is_refused_without_being_shown() {
        let refusal = StateKey::parse("0123secret").err().unwrap();
        assert!(!refusal.contains("secret"));
        assert!(StateKey::parse(&"zz".repeat(32)).is_err());
    }
}
