//! `messages`: everything said, by room and number.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::room_member;
use crate::schema::messages;

/// A message.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = messages)]
pub struct Message {
    /// Public.
    pub id: Uuid,
    /// Where it was said.
    pub room_id: Uuid,
    /// Its number there.
    pub seq: i64,
    /// Who said it.
    pub user_id: Uuid,
    /// On which device.
    pub device_id: Uuid,
    /// What was said.
    pub message: String,
    /// The sender's own name for it.
    pub client_message_id: Option<String>,
    /// When it was stored.
    pub sent_at: DateTime<Utc>,
}

/// Which messages of a room are wanted, and in which order.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// The newest, newest first.
    Newest,
    /// Those before this number, newest first.
    Before(i64),
    /// Those after this number, oldest first.
    After(i64),
}

/// Stores a message.
pub async fn insert(connection: &mut AsyncPgConnection, message: &Message) -> QueryResult<usize> {
    diesel::insert_into(messages::table).values(message).execute(connection).await
}

/// The message that its sender named `client_message_id`.
pub async fn find_by_client_message_id(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    user: Uuid,
    client_message_id: &str,
) -> QueryResult<Option<Message>> {
    messages::table
        .filter(messages::room_id.eq(room))
        .filter(messages::user_id.eq(user))
        .filter(messages::client_message_id.eq(client_message_id))
        .select(Message::as_select())
        .first(connection)
        .await
        .optional()
}

/// Messages of a room.
pub async fn list(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    range: Range,
    limit: i64,
) -> QueryResult<Vec<Message>> {
    let list = messages::table
        .filter(messages::room_id.eq(room))
        .select(Message::as_select())
        .limit(limit)
        .into_boxed();
    let list = match range {
        Range::Newest => list.order(messages::seq.desc()),
        Range::Before(seq) => list.filter(messages::seq.lt(seq)).order(messages::seq.desc()),
        Range::After(seq) => list.filter(messages::seq.gt(seq)).order(messages::seq.asc()),
    };
    list.load(connection).await
}

/// Messages of a room for one who must be in it; `None` where they are not.
pub async fn list_for(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    room: Uuid,
    range: Range,
    limit: i64,
) -> QueryResult<Option<Vec<Message>>> {
    let messages = list(connection, room, range, limit).await?;
    // Asked after the reading: who left before any of these messages was there gets none of them.
    Ok(room_member::exists(connection, room, user).await?.then_some(messages))
}
