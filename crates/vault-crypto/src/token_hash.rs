use hmac::Mac as _;

use crate::cipher::{self, Key};

const INFO: &str = "latchkey vault token hash v1";

/// A token hash key that can't be used; one line, and never any of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token hash key {0}")]
pub struct TokenKeyError(&'static str);

/// Hashes tokens for look-ups: HMAC-SHA-256 under a key of its own, so that a dump can't be
/// tested against guesses and a change of sealing keys moves no hash (RFC 2104, RFC 5869).
/// The key is zeroized on drop.
pub struct TokenHasher(Key);

impl TokenHasher {
    /// From 64 hex characters.
    pub fn parse(text: &str) -> Result<Self, TokenKeyError> {
        let key = cipher::parse_key(text).map_err(TokenKeyError)?;
        Ok(Self(cipher::derive(&key, INFO)))
    }

    /// 32 bytes, the same for the same token.
    #[must_use]
    pub fn hash(&self, token: &[u8]) -> [u8; 32] {
        cipher::mac(self.0.as_ref(), &[token]).finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tokens_have_equal_hashes_under_one_key_only() {
        let one = TokenHasher::parse(&"01".repeat(32)).unwrap();
        let two = TokenHasher::parse(&"02".repeat(32)).unwrap();
        assert_eq!(one.hash(b"token"), one.hash(b"token"));
        assert_ne!(one.hash(b"token"), two.hash(b"token"));
    }

    #[test]
    fn hashes_never_change() {
        // Made with Python's `cryptography`.
        let hasher = TokenHasher::parse(&"01".repeat(32)).unwrap();
        assert_eq!(
            hex::encode(hasher.hash(b"token")),
            "8c7457d6d07780079620e84e2b786d99531c644bc917ddac5f7955e6f222ce35"
        );
    }

    #[test]
    fn unusable_keys_are_refused_without_being_shown() {
        let refusal = |text: &str| TokenHasher::parse(text).err().unwrap().to_string();
        assert_eq!(refusal("short"), "the token hash key is not 64 hex characters long");
        assert_eq!(refusal(&"zz".repeat(32)), "the token hash key has a character that is not hex");
    }
}
