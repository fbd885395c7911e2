//! `rooms`: rooms and the number of their newest message.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::schema::{room_members, rooms};

/// Who may join.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    AsExpression,
    FromSqlRow,
)]
#[serde(rename_all = "lowercase")]
#[diesel(sql_type = Text)]
pub enum Visibility {
    /// Anybody who knows the id.
    #[default]
    Public,
    /// Who was invited.
    Private,
}

impl ToSql<Text, Pg> for Visibility {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(match self {
            Self::Public => b"public",
            Self::Private => b"private",
        })?;
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Pg> for Visibility {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            b"public" => Ok(Self::Public),
            b"private" => Ok(Self::Private),
            _ => Err("neither public nor private".into()),
        }
    }
}

/// A room.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = rooms)]
pub struct Room {
    /// Public.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// Who may join.
    pub visibility: Visibility,
    /// Who may remove others.
    pub creator_id: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Number of its newest message; 0 where there is none.
    pub last_seq: i64,
}

/// Makes a room.
pub async fn insert(connection: &mut AsyncPgConnection, room: &Room) -> QueryResult<usize> {
    diesel::insert_into(rooms::table).values(room).execute(connection).await
}

/// A room.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Room>> {
    rooms::table.find(id).select(Room::as_select()).first(connection).await.optional()
}

/// Keeps others from numbering messages until the transaction ends.
pub async fn lock(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Uuid> {
    rooms::table.find(id).select(rooms::id).for_no_key_update().first(connection).await
}

/// The next message's number; others wait for theirs until the transaction ends.
pub async fn take_next_seq(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<i64> {
    diesel::update(rooms::table.find(id))
        .set(rooms::last_seq.eq(rooms::last_seq + 1))
        .returning(rooms::last_seq)
        .get_result(connection)
        .await
}

/// Number of the newest message in a room that `user` is in.
pub async fn find_last_seq(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    user: Uuid,
) -> QueryResult<Option<i64>> {
    rooms::table
        .inner_join(room_members::table)
        .filter(rooms::id.eq(id))
        .filter(room_members::user_id.eq(user))
        .select(rooms::last_seq)
        .first(connection)
        .await
        .optional()
}

/// Numbers of the newest messages in `ids`.
pub async fn list_last_seqs(
    connection: &mut AsyncPgConnection,
    ids: &[Uuid],
) -> QueryResult<Vec<(Uuid, i64)>> {
    rooms::table
        .filter(rooms::id.eq_any(ids))
        .filter(rooms::last_seq.gt(0))
        .select((rooms::id, rooms::last_seq))
        .load(connection)
        .await
}

/// Rooms that `user` is in with the time of joining, last joined first, those before `before`.
pub async fn list_by_user(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<(Room, DateTime<Utc>)>> {
    use room_members::{joined_at, room_id};
    let mut list = rooms::table
        .inner_join(room_members::table)
        .filter(room_members::user_id.eq(user))
        .select((Room::as_select(), joined_at))
        .order((joined_at.desc(), room_id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        list = list.filter(joined_at.lt(time).or(joined_at.eq(time).and(room_id.lt(id))));
    }
    list.load(connection).await
}
