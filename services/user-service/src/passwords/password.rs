use std::fmt;

use common::http::Problem;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::common_list::is_common;

const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

/// A password in NFC, wiped when dropped and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// A new password: 8 to 256 characters, not one that many people use; no composition rules.
    /// `field` is what the request calls it.
    pub fn parse(text: &str, field: &str) -> Result<Self, Problem> {
        let password = Self::normalised(text);
        if !LENGTH.contains(&password.0.chars().count()) {
            let message = format!("`{field}` must have 8 to 256 characters");
            return Err(Problem::invalid_field(field, message));
        }
        if is_common(&password.0) {
            let message = format!("`{field}` is one that many people use; choose another");
            return Err(Problem::invalid_field(field, message));
        }
        Ok(password)
    }

    /// A password to be compared; `None` for one that no account can have.
    #[must_use]
    pub fn for_login(text: &str) -> Option<Self> {
        let password = Self::normalised(text);
        LENGTH.contains(&password.0.chars().count()).then_some(password)
    }

    fn normalised(text: &str) -> Self {
        Self(Zeroizing::new(text.nfc().collect()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_commonness_are_all_that_counts() {
        for good in ["correct horse", "        x", "日本語のパスワード", "aaaaaaab"] {
            assert!(Password::parse(good, "password").is_ok(), "{good}");
        }
        for bad in ["", "short77", "password", "PassWord", "iloveyou"] {
            assert!(Password::parse(bad, "password").is_err(), "{bad}");
        }
        assert!(Password::parse(&"x".repeat(257), "password").is_err());
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let (one, two) = ("résumé-long", "re\u{301}sume\u{301}-long");
        let bytes = |text| Password::for_login(text).unwrap().as_bytes().to_vec();
        assert_eq!(bytes(one), bytes(two));
    }
}
