use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::versioned_keys::VersionedKeys;

/// Versioned keys under the chain: the first writes, all read. The database has none of them.
#[derive(Clone)]
pub struct ChainKeys(VersionedKeys);

impl ChainKeys {
    /// From `version:<64 hex>[,…]`, versions 1 to 255, each once.
    pub fn parse(text: &str) -> Result<Self, String> {
        VersionedKeys::parse("audit.chain_keys", text, usize::MAX).map(Self)
    }

    /// The version that new links carry.
    #[must_use]
    pub fn writing_version(&self) -> i16 {
        self.0.writing().0.into()
    }

    /// An HMAC-SHA-256 over `parts`, each with its length; none where the key is not in the ring.
    pub(super) fn mac(&self, version: i16, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let key = self.0.find(version.try_into().ok()?)?;
        Some(mac(key, parts))
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_from_one_part_to_the_next_gives_another_mac() {
        assert_ne!(mac(b"key", &[b"ab", b"c"]), mac(b"key", &[b"a", b"bc"]));
        assert_ne!(mac(b"key", &[b"ab"]), mac(b"key", &[b"ab", b""]));
    }
}
