use common::http::Problem;
use common::text::is_invisible;
use unicode_casefold::UnicodeCaseFold as _;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::mixed_script::MixedScript as _;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection as _};

const LENGTH: std::ops::RangeInclusive<usize> = 3..=64;

/// A name to sign in with: trimmed, NFKC, 3 to 64 characters, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    name: String,
    key: String,
}

impl Username {
    /// What somebody chooses for a new account. Names like "аlice" with a Cyrillic "а" are refused
    /// here alone: who has one already can still sign in.
    pub fn choose(text: &str) -> Result<Self, Problem> {
        let username = Self::parse(text)?;
        if mixes_scripts(&username.name) {
            let message = "`username` must not mix letters of different scripts, such as Latin and \
                           Cyrillic, which look alike";
            return Err(Problem::invalid_field("username", message));
        }
        Ok(username)
    }

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

/// Whether letters of one name come from scripts that nobody mixes in a word: Latin with Cyrillic
/// or Greek above all, which look the same (UTS 39, sections 5.1 and 5.2). Latin beside one other
/// script, as in Japanese, is left alone; marks, digits and signs are of no script.
fn mixes_scripts(name: &str) -> bool {
    let letters: String = name.chars().filter(|character| character.is_alphabetic()).collect();
    !letters.as_str().is_single_script()
        && letters.detect_restriction_level() > RestrictionLevel::ModeratelyRestrictive
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
    fn every_character_has_one_key_whatever_its_form_and_the_key_is_its_own() {
        for character in (char::MIN..=char::MAX).filter(|character| character.is_alphabetic()) {
            let name = format!("ab{character}c");
            let Some(expected) = key(&name) else { continue };
            assert_eq!(key(&expected), Some(expected.clone()), "{name:?}");
            for spelt in [
                name.nfc().collect::<String>(),
                name.nfd().collect(),
                name.nfkc().collect(),
                name.nfkd().collect(),
                name.nfd().case_fold().collect(),
                format!("\u{a0}{name}\u{3000}\r\n"),
            ] {
                assert_eq!(key(&spelt).as_ref(), Some(&expected), "{spelt:?}");
            }
        }
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

    #[test]
    fn names_of_one_script_can_be_chosen_and_look_alikes_can_not() {
        for good in [
            "alice",
            "alice-7@example.com",
            "élise",
            "Алиса",
            "Αλίκη",
            "アリス",
            "田中さん",
            "taro太郎",
            "앨리스",
            "שלומית",
            "ฟ้าใส",
            "अलिस",
            "user_1 x",
            "12345",
        ] {
            assert!(Username::choose(good).is_ok(), "{good}");
        }
        // Cyrillic а, Greek ο, Cyrillic с, Cyrillic beside Greek.
        for bad in ["\u{430}lice", "b\u{3bf}b", "ali\u{441}e-7", "αлиса", "太郎\u{430}b"] {
            let problem = Username::choose(bad).unwrap_err();
            assert!(problem.message.contains("scripts"), "{bad}");
            assert!(Username::parse(bad).is_ok(), "{bad} can still sign in");
        }
    }
}
