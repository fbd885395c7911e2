use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::handlers::MessageView;
use crate::models::message::Message;

/// What clients say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientFrame {
    /// Send me this room's messages: all after `after`, or from now on.
    Subscribe { room_id: Uuid, after: Option<i64> },
    /// Send no more of them.
    Unsubscribe { room_id: Uuid },
    /// Are you there?
    Ping,
}

/// What we say, but for messages.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerFrame<'a> {
    /// Messages after `seq` follow.
    Subscribed { room_id: Uuid, seq: i64 },
    /// Who came to a room and who went; at first, who is there.
    Presence { room_id: Uuid, joined: &'a [Uuid], left: &'a [Uuid] },
    /// Something is refused, or at its end.
    Error {
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        room_id: Option<Uuid>,
    },
    /// We are.
    Pong,
}

impl ClientFrame {
    /// Longer frames are refused unread.
    const MAX_BYTES: usize = 4096;

    pub(super) fn parse(text: &str) -> Option<Self> {
        let frame =
            if text.len() > Self::MAX_BYTES { None } else { serde_json::from_str(text).ok() };
        frame.filter(|frame| !matches!(frame, Self::Subscribe { after: Some(..0), .. }))
    }
}

impl ServerFrame<'_> {
    pub(super) fn encode(&self) -> ByteString {
        encode(self)
    }
}

/// A message as it goes to every subscriber, encoded once.
#[derive(Clone, Debug)]
pub(super) struct MessageFrame {
    pub(super) seq: i64,
    pub(super) text: ByteString,
}

impl From<Message> for MessageFrame {
    fn from(message: Message) -> Self {
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "message")]
        struct Frame {
            room_id: Uuid,
            #[serde(flatten)]
            message: MessageView,
        }
        let (room_id, seq) = (message.room_id, message.seq);
        Self { seq, text: encode(&Frame { room_id, message: message.into() }) }
    }
}

#[expect(clippy::expect_used, reason = "maps with string keys of plain values always encode")]
fn encode(frame: &impl Serialize) -> ByteString {
    serde_json::to_string(frame).expect("plain values").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames_are_parsed_strictly() {
        let room_id = Uuid::new_v4();
        let subscribe = |after| ClientFrame::Subscribe { room_id, after };
        for (text, frame) in [
            (format!(r#"{{"type":"subscribe","room_id":"{room_id}"}}"#), Some(subscribe(None))),
            (
                format!(r#"{{"after":3,"type":"subscribe","room_id":"{room_id}"}}"#),
                Some(subscribe(Some(3))),
            ),
            (format!(r#"{{"type":"subscribe","room_id":"{room_id}","after":-1}}"#), None),
            (r#"{"type":"subscribe"}"#.to_owned(), None),
            (r#"{"type":"subscribe","room_id":"x"}"#.to_owned(), None),
            (r#"{"type":"ping"}"#.to_owned(), Some(ClientFrame::Ping)),
            (format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(4096)), None),
            (r#"{"type":"shout"}"#.to_owned(), None),
            ("ping".to_owned(), None),
        ] {
            assert_eq!(ClientFrame::parse(&text), frame, "{text}");
        }
    }
}
