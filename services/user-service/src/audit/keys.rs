use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Versioned keys under the chain: the first writes, all read. The database has none of them.
#[derive(Clone)]
pub struct ChainKeys(Vec<(i16, Zeroizing<[u8; 32]>)>);

impl ChainKeys {
    /// From `version:<64 hex>[,…]`, versions 1 to 255, each once.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(i16, Zeroizing<[u8; 32]>)> = Vec::new();
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            let wrong = |what: &str| format!("`audit.chain_keys`: key {} {what}", index + 1);
            let (version, hex) =
                part.split_once(':').ok_or_else(|| wrong("is not `version:<64 hex>`"))?;
            let version = version.parse::<u8>().ok().filter(|version| *version > 0);
            let version = version.ok_or_else(|| wrong("has no version from 1 to 255"))?.into();
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(hex, key.as_mut())
                .map_err(|_| wrong("has no 64 hex characters"))?;
            if keys.iter().any(|(other, _)| *other == version) {
                return Err(wrong("repeats a version"));
            }
            keys.push((version, key));
        }
        Ok(Self(keys))
    }

    /// The version that new links carry.
    #[must_use]
    pub fn writing_version(&self) -> i16 {
        self.0[0].0
    }

    /// An HMAC-SHA-256 over `parts`, each with its length; none where the key is not in the ring.
    pub(super) fn mac(&self, version: i16, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let (_, key) = self.0.iter().find(|(other, _)| *other == version)?;
        Some(mac(&**key, parts))
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
    fn key_errors_name_the_key_and_show_nothing_of_it() {
        for bad in ["", "1", "0:00", "x:00", "1:zz", "256:00"] {
            let error = ChainKeys::parse(bad).map(|_| ()).unwrap_err();
            assert!(error.starts_with("`audit.chain_keys`: key 1"), "{error}");
        }
        let key = "00".repeat(32);
        assert!(ChainKeys::parse(&format!("1:{key},1:{key}")).is_err());
    }

    #[test]
    fn what_moves_from_one_part_to_the_next_gives_another_mac() {
        assert_ne!(mac(b"key", &[b"ab", b"c"]), mac(b"key", &[b"a", b"bc"]));
        assert_ne!(mac(b"key", &[b"ab"]), mac(b"key", &[b"ab", b""]));
    }
}
