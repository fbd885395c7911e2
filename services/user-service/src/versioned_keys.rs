//! Keys that settings list by version: the first writes, all read.

use zeroize::Zeroizing;

/// Versioned keys of 256 bits; they have no `Debug`, which would show them.
#[derive(Clone)]
pub struct VersionedKeys(Vec<(u8, Zeroizing<[u8; 32]>)>);

impl VersionedKeys {
    /// From `version:<64 hex>[,…]`, versions 1 to 255, each once and `at_most` of them; an error
    /// names `setting`, and which key of it is wrong.
    pub fn parse(setting: &str, text: &str, at_most: usize) -> Result<Self, String> {
        let mut keys: Vec<(u8, Zeroizing<[u8; 32]>)> = Vec::new();
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            let wrong = |what: &str| format!("`{setting}`: key {} {what}", index + 1);
            if index >= at_most {
                return Err(wrong(&format!("is one too many: {at_most} are enough")));
            }
            let (version, hex) =
                part.split_once(':').ok_or_else(|| wrong("is not `version:<64 hex>`"))?;
            let version = version.parse().ok().filter(|version| *version > 0);
            let version: u8 = version.ok_or_else(|| wrong("has no version from 1 to 255"))?;
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

    /// The key that writes, with its version.
    #[must_use]
    pub fn writing(&self) -> (u8, &[u8; 32]) {
        let (version, key) = &self.0[0];
        (*version, key)
    }

    /// The key of `version`, where it is among them.
    #[must_use]
    pub fn find(&self, version: u8) -> Option<&[u8; 32]> {
        self.0.iter().find(|(other, _)| *other == version).map(|(_, key)| &**key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VersionedKeys, String> {
        let text = text.replace("K1", &"ab".repeat(32)).replace("K2", &"cd".repeat(32));
        VersionedKeys::parse("some.keys", &text, 2)
    }

    #[test]
    fn the_first_writes_and_all_read() {
        let keys = parse("7:K2, 255:K1").unwrap();
        assert_eq!(keys.writing(), (7, &[0xcd; 32]));
        assert_eq!(keys.find(255), Some(&[0xab; 32]));
        assert_eq!(keys.find(1), None);
    }

    #[test]
    fn errors_name_the_setting_and_the_key_and_show_nothing_of_it() {
        for (bad, said) in [
            ("", "key 1 is not"),
            ("1", "key 1 is not"),
            ("0:K1", "key 1 has no version"),
            ("256:K1", "key 1 has no version"),
            ("x:K1", "key 1 has no version"),
            ("1:zz", "key 1 has no 64"),
            ("1:K1ab", "key 1 has no 64"),
            ("1:K1,", "key 2 is not"),
            ("1:K1,1:K2", "key 2 repeats"),
            ("1:K1,2:K2,3:K1", "key 3 is one too many"),
        ] {
            let error = parse(bad).map(drop).unwrap_err();
            assert!(error.starts_with(&format!("`some.keys`: {said}")), "{error}");
            assert!(!error.contains("abab") && !error.contains("zz"), "{error}");
        }
    }
}
