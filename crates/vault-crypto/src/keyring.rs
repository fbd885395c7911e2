use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hmac::Mac as _;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::cipher::{self, IV_BYTES, Key};
use crate::sealed::{self, Sealed, VERSION, is_key_id};
use crate::{Identity, WrappingKey};

const ENCRYPTION_INFO: &str = "latchkey vault encryption v1";
const MAC_INFO: &str = "latchkey vault mac v1";
const KEY_ID_INFO: &str = "latchkey vault key id v1";

/// A keyring that can't be used: one line that counts keys from 1 and never shows any of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyring: key {position} {what}")]
pub struct KeyringError {
    position: usize,
    what: Cow<'static, str>,
}

/// A sealed value that does not open: damaged, another's, or under a key that the ring lacks.
/// All look the same, so that no answer helps to forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value can't be opened")]
pub struct OpenError;

/// Keys of 32 bytes by id; the first writes, all read. From each, HKDF-SHA-256 (RFC 5869) makes
/// one key for AES and one for HMAC. Clones share them; the last one dropped zeroizes them.
#[derive(Clone)]
pub struct Keyring(Arc<Vec<RingKey>>);

struct RingKey {
    id: String,
    encryption: Key,
    mac: Key,
}

impl Keyring {
    /// From `id:<64 hex>`, comma separated. Ids are 1 to 32 of `[a-z0-9_-]`, each once; a key
    /// without an id gets one of 8 hex characters derived from it.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        Self::parse_with(text, None)
    }

    /// The same, where a key may also be `id:pkcs11:<hex>`, wrapped by `wrapping_key`; see
    /// [`WrappingKey::wrap_new_key`].
    pub fn parse_with(
        text: &str,
        wrapping_key: Option<&WrappingKey>,
    ) -> Result<Self, KeyringError> {
        let parts = text.split(',');
        // Room for all: growing would leave copies of keys behind that nothing zeroizes.
        let mut keys: Vec<RingKey> = Vec::with_capacity(parts.clone().count());
        for (index, part) in parts.enumerate() {
            let wrong = |what| KeyringError { position: index + 1, what };
            let key = RingKey::parse(part.trim(), wrapping_key).map_err(wrong)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(wrong("repeats an id".into()));
            }
            keys.push(key);
        }
        Ok(Self(Arc::new(keys)))
    }

    /// The key that writes.
    #[must_use]
    pub fn writing_key_id(&self) -> &str {
        &self.0[0].id
    }

    /// All ids, the writing key's first.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Whether the ring can read what `key_id` sealed.
    #[must_use]
    pub fn contains(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// Seals `plaintext` for the place that `identity` names, with the first key and a random IV.
    #[must_use]
    pub fn seal(&self, identity: &Identity, plaintext: &[u8]) -> Sealed {
        let key = &self.0[0];
        let mut iv = [0; IV_BYTES];
        rand::rng().fill(&mut iv);
        let ciphertext = cipher::encrypt(&key.encryption, &iv, plaintext);
        let mut bytes = vec![VERSION, key.id_length()];
        bytes.extend_from_slice(key.id.as_bytes());
        let tag = key.tag(&bytes, identity, &iv, &ciphertext).finalize().into_bytes();
        bytes.extend_from_slice(&iv);
        bytes.extend_from_slice(&ciphertext);
        bytes.extend_from_slice(&tag);
        Sealed { key_id: key.id.clone(), bytes }
    }

    /// Opens what was sealed for `identity`; every kind of damage is the one [`OpenError`]. The tag
    /// is checked in constant time, and nothing is decrypted before; the plaintext is zeroized.
    pub fn open(
        &self,
        identity: &Identity,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = sealed::split(sealed).ok_or(OpenError)?;
        let key = self.find(parts.key_id).ok_or(OpenError)?;
        key.tag(parts.header, identity, parts.iv, parts.ciphertext)
            .verify_slice(parts.tag)
            .map_err(|_| OpenError)?;
        cipher::decrypt(&key.encryption, parts.iv, parts.ciphertext)
            .map(Zeroizing::new)
            .ok_or(OpenError)
    }

    fn find(&self, key_id: &str) -> Option<&RingKey> {
        self.0.iter().find(|key| key.id == key_id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.key_ids()).finish()
    }
}

/// What precedes a key that a PKCS#11 token wrapped.
const WRAPPED: &str = "pkcs11";

fn unwrap(hex: &str, wrapping_key: Option<&WrappingKey>) -> Result<Key, Cow<'static, str>> {
    let wrapping_key = wrapping_key.ok_or("is wrapped, and no PKCS#11 token is configured")?;
    let wrapped = hex::decode(hex).map_err(|_| "is wrapped, but not in hex")?;
    // The token's own word: a wrong key, a damaged one and a token that is gone are mended apart.
    wrapping_key.unwrap(&wrapped).map_err(|error| format!("can't be unwrapped: {error}").into())
}

impl RingKey {
    fn parse(text: &str, wrapping_key: Option<&WrappingKey>) -> Result<Self, Cow<'static, str>> {
        let (id, hex) = match text.split_once(':') {
            Some((id, hex)) if id != WRAPPED => (Some(id), hex),
            _ => (None, text),
        };
        let key = match hex.strip_prefix(WRAPPED).and_then(|rest| rest.strip_prefix(':')) {
            None => cipher::parse_key(hex)?,
            Some(wrapped) => unwrap(wrapped, wrapping_key)?,
        };
        let id = match id {
            None => {
                // Of a derived key, so that the id tells nothing of the key itself.
                let digest = Sha256::digest(cipher::derive(&key, KEY_ID_INFO).as_slice());
                hex::encode(&digest[..4])
            }
            Some(id) if is_key_id(id) => id.to_owned(),
            Some(_) => return Err("has an id that is not 1 to 32 of a-z, 0-9, _ and -".into()),
        };
        let encryption = cipher::derive(&key, ENCRYPTION_INFO);
        Ok(Self { id, encryption, mac: cipher::derive(&key, MAC_INFO) })
    }

    fn id_length(&self) -> u8 {
        // Ids have at most 32 bytes.
        u8::try_from(self.id.len()).unwrap_or(u8::MAX)
    }

    /// The header says its own length, the identity's length precedes it, the IV's is fixed.
    fn tag(
        &self,
        header: &[u8],
        identity: &Identity,
        iv: &[u8; IV_BYTES],
        ciphertext: &[u8],
    ) -> hmac::Hmac<Sha256> {
        let identity = identity.as_bytes();
        let length = (identity.len() as u64).to_be_bytes();
        cipher::mac(self.mac.as_ref(), &[header, &length, identity, iv, ciphertext])
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
