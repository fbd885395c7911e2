//! The primitives: AES-256-CBC with PKCS#7 (NIST SP 800-38A, RFC 5652 section 6.3) and
//! HMAC-SHA-256 (RFC 2104), under keys that HKDF (RFC 5869) keeps apart.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hex::FromHexError;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const IV_BYTES: usize = 16;

pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A key for one purpose, named by `info`.
#[expect(clippy::expect_used, reason = "HKDF-SHA-256 refuses only outputs above 8,160 bytes")]
pub(crate) fn derive(key: &[u8; KEY_BYTES], info: &str) -> Key {
    let mut derived = Key::default();
    Hkdf::<Sha256>::new(None, key)
        .expand(info.as_bytes(), derived.as_mut())
        .expect("a short output");
    derived
}

/// Exactly 64 hex characters; the error says what is wrong and never quotes any of them.
pub(crate) fn parse_key(text: &str) -> Result<Key, &'static str> {
    let mut key = Key::default();
    match hex::decode_to_slice(text, key.as_mut()) {
        Ok(()) => Ok(key),
        Err(FromHexError::InvalidHexCharacter { .. }) => Err("has a character that is not hex"),
        Err(_) => Err("is not 64 hex characters long"),
    }
}

pub(crate) fn encrypt(key: &Key, iv: &[u8; IV_BYTES], plaintext: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new((&**key).into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plaintext)
}

/// `None` where the padding is wrong, which behind a good tag does not happen.
pub(crate) fn decrypt(key: &Key, iv: &[u8; IV_BYTES], ciphertext: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes256>::new((&**key).into(), iv.into())
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .ok()
}

/// HMAC over the concatenation of `parts`; the caller makes it unambiguous.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
#[path = "cipher_tests.rs"]
mod tests;
