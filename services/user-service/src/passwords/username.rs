use common::http::Problem;
use unicode_casefold::UnicodeCaseFold as _;
use unicode_normalization::UnicodeNormalization as _;

const LENGTH: std::ops::RangeInclusive<usize> = 3..=64;

/// A name to sign in with: trimmed, NFKC, 3 to 64 characters, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    name: String,
    key: String,
}

impl Username {
    /// Normalises and checks what a person typed.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let name: String = text.trim().nfkc().collect();
        let name = name.trim().to_owned();
        if !LENGTH.contains(&name.chars().count()) {
            let message = "`username` must have 3 to 64 characters";
            return Err(Problem::invalid_field("username", message));
        }
        if name.chars().any(is_invisible) {
            let message = "`username` must not contain control or invisible characters";
            return Err(Problem::invalid_field("username", message));
        }
        let key = name.nfkc().case_fold().nfkc().collect();
        Ok(Self { name, key })
    }

    /// As the person chose it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What uniqueness goes by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Control characters, those that hide or reorder text, and all that Unicode lets a display leave
/// out (`Default_Ignorable_Code_Point`).
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<String> {
        Username::parse(text).ok().map(|username| username.key().to_owned())
    }

    #[test]
    fn names_that_look_the_same_are_the_same() {
        assert_eq!(key("  Alice "), key("alice"));
        assert_eq!(key("STRASSE"), key("straße"));
        assert_eq!(key("ＡＢＣ"), key("abc"));
        assert_eq!(key("e\u{301}ve"), key("Éve"));
    }

    #[test]
    fn names_of_the_wrong_length_or_with_hidden_characters_are_refused() {
        for bad in [
            "",
            "ab",
            " ab ",
            "a\u{0}bc",
            "ab\u{202e}c",
            "ab\ncd",
            "a\u{200b}bc",
            "ab\u{34f}c",
            "ab\u{3164}c",
            "ab\u{fe0f}c",
            "ab\u{e0041}c",
        ] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
        assert_eq!(key(&"x".repeat(65)), None);
        assert!(key(&"ü".repeat(64)).is_some());
    }
}
