use crate::cipher::IV_BYTES;

pub(crate) const VERSION: u8 = 1;
pub(crate) const TAG_BYTES: usize = 32;
const MAX_KEY_ID: usize = 32;

/// A sealed value: `version (1) | key id length (1) | key id | IV (16) | ciphertext | tag (32)`.
/// The ciphertext is the plaintext and 1 to 16 bytes of padding, a multiple of 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) key_id: String,
    pub(crate) bytes: Vec<u8>,
}

impl Sealed {
    /// The key that sealed it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to store, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The parts of a stored value, not yet believed.
pub(crate) struct Parts<'a> {
    pub(crate) key_id: &'a str,
    /// Version, key id length and key id.
    pub(crate) header: &'a [u8],
    pub(crate) iv: &'a [u8; IV_BYTES],
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8],
}

pub(crate) fn split(sealed: &[u8]) -> Option<Parts<'_>> {
    let (&version, rest) = sealed.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if version != VERSION {
        return None;
    }
    let (key_id, rest) = rest.split_at_checked(length.into())?;
    let key_id = str::from_utf8(key_id).ok().filter(|id| is_key_id(id))?;
    let (iv, rest) = rest.split_first_chunk::<IV_BYTES>()?;
    let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
    let header = &sealed[..2 + usize::from(length)];
    Some(Parts { key_id, header, iv, ciphertext, tag })
}

pub(crate) fn is_key_id(id: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=MAX_KEY_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// The key id that a stored value names, for operators' counts; nothing is authenticated.
/// `None` where the layout is damaged, so that no other text ever reaches a label or a terminal.
#[must_use]
pub fn key_id_of(sealed: &[u8]) -> Option<&str> {
    split(sealed).map(|parts| parts.key_id)
}
