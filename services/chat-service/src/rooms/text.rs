use common::http::Problem;

const MAX_BYTES: usize = 16_384;
const MAX_ID_CHARACTERS: usize = 128;

/// What is said: 1 to 16,384 bytes, anything but NUL, which `PostgreSQL` can't store.
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
        Ok(Self(text))
    }
}

/// The sender's own name for a message: 1 to 128 characters, no control characters among them.
#[derive(Clone, Debug)]
pub(crate) struct ClientMessageId(pub(super) String);

impl ClientMessageId {
    pub(crate) fn parse(text: String) -> Result<Self, Problem> {
        let length = text.chars().count();
        if (1..=MAX_ID_CHARACTERS).contains(&length) && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        let why = "`client_message_id` must have 1 to 128 characters, no control characters";
        Err(Problem::invalid_field("client_message_id", why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_by_bytes_and_free_of_nul() {
        for good in ["a", "line\nline", &"é".repeat(8192)] {
            assert!(MessageText::parse(good.to_owned()).is_ok());
        }
        for bad in ["", "a\0", &"é".repeat(8193)] {
            assert!(MessageText::parse(bad.to_owned()).is_err());
        }
    }

    #[test]
    fn client_message_ids_are_short_and_printable() {
        assert!(ClientMessageId::parse("é".repeat(128)).is_ok());
        for bad in ["", "a\0", &"a".repeat(129)] {
            assert!(ClientMessageId::parse(bad.to_owned()).is_err());
        }
    }
}
