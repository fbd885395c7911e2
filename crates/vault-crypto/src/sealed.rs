use crate::cipher::IV_BYTES;

pub(crate) const VERSION: u8 = 1;
pub(crate) const TAG_BYTES: usize = 32;

/// A sealed value: `version | key id length | key id | IV (16) | ciphertext | tag (32)`.
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

    /// As stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As stored.
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
    let (iv, rest) = rest.split_first_chunk::<IV_BYTES>()?;
    let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
    let header = &sealed[..2 + usize::from(length)];
    Some(Parts { key_id: std::str::from_utf8(key_id).ok()?, header, iv, ciphertext, tag })
}

/// The key id that a stored value names, for operators' counts; `None` where it is damaged.
#[must_use]
pub fn key_id_of(sealed: &[u8]) -> Option<&str> {
    split(sealed).map(|parts| parts.key_id)
}
