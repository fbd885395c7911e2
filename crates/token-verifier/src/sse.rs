//! Server-sent events (HTML standard, section 9.2.6) from a stream that arrives in pieces.

/// An event above this, or a line, is none of ours.
const MAX_BYTES: usize = 64 * 1024;

/// One dispatched block. An id that stands alone comes without name and data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    /// Where to resume after this event; empty for the beginning.
    pub(crate) id: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    /// Whether the last byte was CR, whose LF belongs to the same line end.
    after_cr: bool,
}

/// The stream is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Parser {
    /// Takes a piece and answers the events that it completes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > MAX_BYTES {
                return Err(TooLarge);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            // A comment begins with the colon; other fields are ignored.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if event.data.pop().is_none() {
            // Without data a block is no event, but its id counts.
            event.name.clear();
        }
        (!event.data.is_empty() || event.id.is_some()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str, id: Option<&str>) -> Event {
        Event { name: name.into(), data: data.into(), id: id.map(str::to_owned) }
    }

    #[test]
    fn events_survive_any_cut_and_any_line_end() {
        let text = ": hello\n\nid: 1.0\nevent: key_revoked\ndata: {\"kid\":\"a\",\ndata: \"until\":5}\n\nid:2\n\nevent: empty\n\nevent: caught_up\nid\ndata: {}\nretry: 5\n\nevent: half\ndata: x";
        let expected = [
            event("key_revoked", "{\"kid\":\"a\",\n\"until\":5}", Some("1.0")),
            event("", "", Some("2")),
            event("caught_up", "{}", Some("")),
        ];
        for text in [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
            for cut in 0..text.len() {
                let mut parser = Parser::default();
                let mut events = parser.feed(&text.as_bytes()[..cut]).unwrap();
                events.extend(parser.feed(&text.as_bytes()[cut..]).unwrap());
                assert_eq!(events, expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_line_or_an_event_without_end_is_refused() {
        assert_eq!(Parser::default().feed(&vec![b'x'; MAX_BYTES + 1]), Err(TooLarge));
        assert_eq!(Parser::default().feed(&b"data: x\n".repeat(MAX_BYTES)), Err(TooLarge));
    }
}
