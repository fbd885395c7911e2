//! Answers, in JSON for scripts and in words for people.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::failure::Failure;

/// Prints an answer.
pub(super) fn tell<T: Serialize + Display>(json: bool, answer: &T) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(answer);
        println!("{}", text.map_err(|error| Failure::Usage(error.to_string()))?);
    } else {
        println!("{answer}");
    }
    Ok(())
}

/// Text that somebody else chose, without what could steer a terminal.
pub(super) fn plain(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|character| !steers(*character)).collect()
}

/// To the minute.
pub(super) fn minute(time: DateTime<Utc>) -> impl Display {
    time.format("%Y-%m-%d %H:%M UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_left_out() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n\u{202e}c"), "a[2Jbc");
    }
}
