//! Server-sent events (HTML standard, section 9.2.6), as far as the change feed uses them.

use serde::Deserialize;
use uuid::Uuid;

/// A line above this is no event of ours.
const MAX_LINE: usize = 64 * 1024;

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A revocation, from an event's data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Revocation {
    Kid { kid: String, until: i64 },
    Sid { sid: Uuid, until: i64 },
    Jti { jti: String, until: i64 },
}

/// Parses a stream that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    event: Event,
    id: Option<String>,
    last_id: Option<String>,
}

/// The stream is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl Parser {
    /// Takes a piece and answers the events that it completes.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
    ) -> Result<Vec<(Event, Option<String>)>, LineTooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            events.extend(self.line(line));
        }
        if self.buffer.len() > MAX_LINE { Err(LineTooLong) } else { Ok(events) }
    }

    fn line(&mut self, line: &str) -> Option<(Event, Option<String>)> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments begin with the colon; anything else is ignored.
            _ => {}
        }
        None
    }

    /// The id counts only once its event is whole.
    fn dispatch(&mut self) -> Option<(Event, Option<String>)> {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let event = std::mem::take(&mut self.event);
        (!event.data.is_empty()).then(|| (event, self.last_id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(events: &[(Event, Option<String>)]) -> Vec<(&str, &str, Option<&str>)> {
        events
            .iter()
            .map(|(event, id)| (event.name.as_str(), event.data.as_str(), id.as_deref()))
            .collect()
    }

    #[test]
    fn events_survive_any_cut() {
        let text = ": hello\n\nid: 1.0\nevent: key_revoked\ndata: {\"kid\":\"a\",\ndata: \"until\":5}\n\nid: 2\n\nevent: caught_up\r\ndata: {}\r\n\r\nevent: half\ndata: x";
        for cut in 0..text.len() {
            let mut parser = Parser::default();
            let mut events = parser.feed(&text.as_bytes()[..cut]).unwrap();
            events.extend(parser.feed(&text.as_bytes()[cut..]).unwrap());
            assert_eq!(
                names(&events),
                [
                    ("key_revoked", "{\"kid\":\"a\",\n\"until\":5}", Some("1.0")),
                    ("caught_up", "{}", Some("2")),
                ],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        assert_eq!(Parser::default().feed(&vec![b'x'; MAX_LINE + 1]), Err(LineTooLong));
    }

    #[test]
    fn revocations_are_told_apart_by_their_member() {
        let parse = |text| serde_json::from_str::<Revocation>(text).ok();
        assert_eq!(
            parse(r#"{"kid":"a","until":5}"#),
            Some(Revocation::Kid { kid: "a".into(), until: 5 })
        );
        assert_eq!(
            parse(r#"{"jti":"j","until":5}"#),
            Some(Revocation::Jti { jti: "j".into(), until: 5 })
        );
        assert_eq!(parse(r#"{"sid":"no uuid","until":5}"#), None);
        assert_eq!(parse("{}"), None);
    }
}
