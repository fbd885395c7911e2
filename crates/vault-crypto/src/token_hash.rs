use hmac::Mac as _;

use crate::cipher::{self, Key};
use crate::keyring::KeyringError;

const INFO: &str = "latchkey vault token hash v1";

/// Hashes tokens for look-ups: HMAC-SHA-256 under a key of its own, so that a dump can't be
/// tested against guesses and a change of sealing keys moves no hash.
pub struct TokenHasher(Key);

impl TokenHasher {
    /// From 64 hex characters.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let key = cipher::parse_key(text).ok_or(KeyringError::not_hex())?;
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
        assert!(TokenHasher::parse("short").is_err());
    }
}
