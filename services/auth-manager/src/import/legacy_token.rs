use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use zeroize::Zeroizing;

/// The key of an older vault: AES-256-CBC, used as it is and without a MAC.
pub(super) struct LegacyKey(Zeroizing<[u8; 32]>);

impl LegacyKey {
    /// From 64 hex characters; the error never quotes any of them.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut())
            .map_err(|_| "the older vault's key is not 64 hex characters")?;
        Ok(Self(key))
    }

    /// Opens a token; none where key, IV or text don't belong together, as far as padding and
    /// UTF-8 can tell.
    pub(super) fn open(&self, iv: &[u8], sealed: &[u8]) -> Option<Zeroizing<String>> {
        let decryptor = cbc::Decryptor::<Aes256>::new_from_slices(self.0.as_slice(), iv).ok()?;
        let opened = Zeroizing::new(decryptor.decrypt_padded_vec::<Pkcs7>(sealed).ok()?);
        Some(Zeroizing::new(str::from_utf8(&opened).ok()?.to_owned()))
    }
}

/// A column's bytes: hex, as PostgreSQL shows `bytea` or plain, or base64 of either alphabet.
pub(super) fn bytes(column: &str) -> Option<Vec<u8>> {
    let text = column.trim();
    let hex = text.strip_prefix("\\x").unwrap_or(text);
    let base64 =
        || STANDARD_NO_PAD.decode(text.trim_end_matches('=').replace('-', "+").replace('_', "/"));
    hex::decode(hex).or_else(|_| base64()).ok()
}

#[cfg(test)]
mod tests {
    use cbc::cipher::BlockModeEncrypt as _;

    use super::*;

    #[test]
    fn a_token_opens_under_its_key_and_damage_is_seen() {
        let sealed = cbc::Encryptor::<Aes256>::new_from_slices(&[7; 32], &[9; 16])
            .unwrap()
            .encrypt_padded_vec::<Pkcs7>(b"a token of more than one block");
        let key = LegacyKey::parse(&"07".repeat(32)).unwrap();
        assert_eq!(*key.open(&[9; 16], &sealed).unwrap(), "a token of more than one block");
        assert!(key.open(&[9; 15], &sealed).is_none());
        assert!(key.open(&[9; 16], &sealed[1..]).is_none());
        assert!(key.open(&[9; 16], b"").is_none());
        assert!(LegacyKey::parse("07").is_err());
    }

    #[test]
    fn columns_may_be_hex_or_base64() {
        for text in ["\\x00ff10", "00ff10", "AP8Q"] {
            assert_eq!(bytes(text).unwrap(), [0, 255, 16], "{text}");
        }
        assert_eq!(bytes("?"), None);
    }
}
