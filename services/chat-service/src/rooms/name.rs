use common::http::Problem;

const MAX_CHARACTERS: usize = 100;

/// A room's name: trimmed, 1 to 100 characters, no control characters among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomName(pub(super) String);

impl RoomName {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let name = text.trim();
        if !(1..=MAX_CHARACTERS).contains(&name.chars().count()) {
            return Err(Problem::invalid_field("name", "`name` must have 1 to 100 characters"));
        }
        if name.chars().any(char::is_control) {
            let message = "`name` must not contain control characters";
            return Err(Problem::invalid_field("name", message));
        }
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
        for bad in ["", " \t", "a\0b", "a\nb", &"a".repeat(101)] {
            assert!(RoomName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
