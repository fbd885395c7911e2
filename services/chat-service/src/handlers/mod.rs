//! The endpoints, one a file: request and response types, and a handler that reads as prose.

pub(crate) mod create_room;
pub(crate) mod invite_member;
pub(crate) mod join_room;
pub(crate) mod leave_room;
pub(crate) mod list_members;
pub(crate) mod list_messages;
pub(crate) mod list_rooms;
pub(crate) mod open_websocket;
pub(crate) mod remove_member;
pub(crate) mod send_message;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::models::message::Message;

/// Names a room.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RoomRequest {
    room_id: Uuid,
}

/// Names a room and another user.
#[derive(Deserialize, ToSchema)]
pub(crate) struct MemberRequest {
    room_id: Uuid,
    /// The other user.
    user_id: Uuid,
}

/// A message as lists and live delivery have it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageView {
    message_id: Uuid,
    /// From 1 up by one in each room.
    #[schema(example = 42)]
    seq: i64,
    /// Who said it.
    user_id: Uuid,
    /// On which device.
    device_id: Uuid,
    #[schema(example = "Hello")]
    message: String,
    #[serde(serialize_with = "common::clock::serialize")]
    sent_at: DateTime<Utc>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            message_id: message.id,
            seq: message.seq,
            user_id: message.user_id,
            device_id: message.device_id,
            message: message.message,
            sent_at: message.sent_at,
        }
    }
}
