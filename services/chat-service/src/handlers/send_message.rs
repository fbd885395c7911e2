use actix_web::{post, web};
use chrono::{DateTime, Utc};
use common::http::{Body, ErrorBody};
use serde::{Deserialize, Serialize};
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::message::Message;
use crate::rooms::{self, ClientMessageId, Draft, MessageText, Sent};
use crate::state::State;

/// A message to be sent.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewMessage {
    room_id: Uuid,
    /// 1 to 16,384 bytes, without NUL.
    #[schema(example = "Hello")]
    message: String,
    /// The sender's own name for it, 1 to 128 characters; sent again it answers the first message.
    #[schema(example = "draft-17")]
    client_message_id: Option<String>,
}

/// The message as stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentMessage {
    #[schema(example = "message sent")]
    status: &'static str,
    user_id: Uuid,
    message_id: Uuid,
    room_id: Uuid,
    /// Its number in the room.
    #[schema(example = 42)]
    seq: i64,
    #[serde(serialize_with = "common::clock::serialize")]
    sent_at: DateTime<Utc>,
}

/// Send a message into a room
#[utoipa::path(tag = "messages", request_body = NewMessage, security(("bearer" = [])), responses(
    (status = 200, description = "Stored, now or before", body = SentMessage),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`room_not_found`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/messages/send")]
pub(crate) async fn send_message(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(request): Body<NewMessage>,
) -> Result<web::Json<SentMessage>, Error> {
    let draft = Draft {
        room_id: request.room_id,
        user_id: user.user_id(),
        device_id: user.device_id(),
        text: MessageText::parse(request.message)?,
        client_message_id: request.client_message_id.map(ClientMessageId::parse).transpose()?,
    };
    let (outcome, message) = match rooms::send(&state, draft).await? {
        Sent::Now(message) => ("stored", message),
        Sent::Before(message) => ("repeated", message),
    };
    state.metrics.messages_sent.with_label_values(&[outcome]).inc();
    Ok(web::Json(message.into()))
}

impl From<Message> for SentMessage {
    fn from(message: Message) -> Self {
        Self {
            status: "message sent",
            user_id: message.user_id,
            message_id: message.id,
            room_id: message.room_id,
            seq: message.seq,
            sent_at: message.sent_at,
        }
    }
}
