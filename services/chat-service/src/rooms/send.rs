use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::{ClientMessageId, MessageText};
use crate::error::Error;
use crate::live::Change;
use crate::models::message::{self, Message};
use crate::models::{room, room_member};
use crate::state::State;

/// A message before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) room_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) device_id: Uuid,
    pub(crate) text: MessageText,
    pub(crate) client_message_id: Option<ClientMessageId>,
}

/// A message that is stored.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Now.
    Now(Message),
    /// Before, under the same `client_message_id`.
    Before(Message),
}

/// Numbers and stores a message and tells every replica, all or nothing.
pub(crate) async fn send(state: &State, draft: Draft) -> Result<Sent, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            if !room_member::hold(connection, draft.room_id, draft.user_id).await? {
                return Err(Error::RoomNotFound);
            }
            if let Some(message) = find_earlier(connection, &draft).await? {
                return Ok(Sent::Before(message));
            }
            let seq = room::take_next_seq(connection, draft.room_id).await?;
            let message = number(draft, seq, now);
            message::insert(connection, &message).await?;
            Change::Message { room_id: message.room_id, seq }.notify(connection).await?;
            Ok(Sent::Now(message))
        })
        .await
}

/// The message that has this draft's `client_message_id`; from here on nobody else can take it.
async fn find_earlier(
    connection: &mut AsyncPgConnection,
    draft: &Draft,
) -> QueryResult<Option<Message>> {
    let Some(ClientMessageId(id)) = &draft.client_message_id else { return Ok(None) };
    room::lock(connection, draft.room_id).await?;
    message::find_by_client_message_id(connection, draft.room_id, draft.user_id, id).await
}

fn number(draft: Draft, seq: i64, sent_at: DateTime<Utc>) -> Message {
    Message {
        id: Uuid::new_v4(),
        room_id: draft.room_id,
        seq,
        user_id: draft.user_id,
        device_id: draft.device_id,
        message: draft.text.0,
        client_message_id: draft.client_message_id.map(|id| id.0),
        sent_at,
    }
}
