use common::http::Problem;
use common::text::check_line;

const MAX_CHARACTERS: usize = 100;

/// A room's name: trimmed, 1 to 100 characters, as [`check_line`] wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomName(pub(super) String);

impl RoomName {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let name = text.trim();
        if name.is_empty() {
            return Err(Problem::invalid_field("name", "`name` must have 1 to 100 characters"));
        }
        check_line("name", name, MAX_CHARACTERS)?;
        Ok(Self(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded_by_characters() {
        assert_eq!(RoomName::parse("  Tea & ☕ \n").unwrap(), RoomName("Tea & ☕".to_owned()));
        assert!(RoomName::parse(&"☕".repeat(100)).is_ok());
        for bad in
            ["", " \t", "a\0b", "a\nb", "a\u{202e}b", "a\u{200b}b", "\u{feff}", &"a".repeat(101)]
        {
            assert!(RoomName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
