use common::http::Problem;
use common::text::is_invisible;

const MAX_BYTES: usize = 16_384;
const MAX_ID_CHARACTERS: usize = 128;

/// What is said: 1 to 16,384 bytes in any script and on any number of lines, but neither NUL, which
/// `PostgreSQL` can't store, nor nothing that shows.
#[derive(Clone, Debug)]
pub(crate) struct MessageText(pub(super) String);

impl MessageText {
    pub(crate) fn parse(text: String) -> Result<Self, Problem> {
        let refuse = |why| Err(Problem::invalid_field("message", why));
        if !(1..=MAX_BYTES).contains(&text.len()) {
            return refuse("`message` must have 1 to 16384 bytes");
        }
        if text.contains('\0') {
            return refuse("`message` must not contain NUL");
        }
        if text.chars().all(|character| character.is_whitespace() || is_invisible(character)) {
            return refuse("`message` must not be blank");
        }
        Ok(Self(text))
    }
}

/// The sender's own name for a message: 1 to 128 characters, nothing invisible among them.
#[derive(Clone, Debug)]
pub(crate) struct ClientMessageId(pub(super) String);

impl ClientMessageId {
    pub(crate) fn parse(text: String) -> Result<Self, Problem> {
        let length = text.chars().count();
        if (1..=MAX_ID_CHARACTERS).contains(&length) && !text.chars().any(is_invisible) {
            return Ok(Self(text));
        }
        let why = "`client_message_id` must have 1 to 128 characters, none of them invisible";
        Err(Problem::invalid_field("client_message_id", why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_by_bytes_and_free_of_nul() {
        let rtl = "שלום \u{2067}abc\u{2069}";
        for good in ["a", "line\r\nline", rtl, "👩\u{200d}🚀", &"é".repeat(8192)] {
            assert!(MessageText::parse(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", "a\0", " \n\t", "\u{200b}\u{a0}", &"é".repeat(8193)] {
            assert!(MessageText::parse(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn client_message_ids_are_short_and_printable() {
        assert!(ClientMessageId::parse("é".repeat(128)).is_ok());
        for bad in ["", "a\0", "a\u{202e}", &"a".repeat(129)] {
            assert!(ClientMessageId::parse(bad.to_owned()).is_err());
        }
    }
}
