//! What people may call things: one rule for every name and every line of text that is shown to
//! somebody else.

use crate::http::Problem;

/// Control characters, those that hide or reorder text (bidi controls among them), and all that
/// Unicode lets a display leave out (`Default_Ignorable_Code_Point`).
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `text` hides a character. Joiners and variation selectors do not where they shape the
/// character before them, as in emoji and in Persian, which ASCII never needs.
fn hides_something(text: &str) -> bool {
    let mut before = 'a';
    for character in text.chars() {
        let shapes = matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        let shapeable = !before.is_ascii() && (before == '\u{fe0f}' || !is_invisible(before));
        if is_invisible(character) && !(shapes && shapeable) {
            return true;
        }
        before = character;
    }
    false
}

/// A line that somebody typed: `max` characters at most, none of them [invisible](is_invisible)
/// but for what shapes emoji and scripts that join.
pub fn check_line(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    let refuse = |what: String| Err(Problem::invalid_field(field, what));
    if text.chars().count() > max {
        return refuse(format!("`{field}` may have {max} characters at most"));
    }
    if hides_something(text) {
        return refuse(format!("`{field}` must not contain control or invisible characters"));
    }
    Ok(())
}

/// What a client says of itself in a header, as far as it can be shown: nothing invisible, cut at
/// `max` characters.
#[must_use]
pub fn shown(header: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(header);
    text.chars().filter(|character| !is_invisible(*character)).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_hide_nothing() {
        for good in [
            "",
            "Alice's phone",
            "שלום",
            "❤\u{fe0f}\u{200d}🔥",
            "می\u{200c}خوانم",
            &"☕".repeat(20),
        ] {
            assert!(check_line("name", good, 20).is_ok(), "{good:?}");
        }
        let bidi = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        for bad in
            "\0\r\n\t\x1b\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{2028}\u{feff}".chars().chain(bidi)
        {
            let problem = check_line("name", &format!("a{bad}b"), 20).unwrap_err();
            assert_eq!(problem.details.unwrap()["field"], "name", "{bad:?}");
        }
        assert!(check_line("name", &"☕".repeat(21), 20).is_err());
    }

    #[test]
    fn headers_are_shown_without_what_they_hide() {
        assert_eq!(shown(b"Mozilla\x1b[31m/5.0\r\n", 20), "Mozilla[31m/5.0");
        assert_eq!(shown("a\u{202e}b\u{2066}c".as_bytes(), 2), "ab");
        assert_eq!(shown(b"a\xff", 20), "a\u{fffd}");
    }
}
