//! `room_members`: who may read and write in a room.

use chrono::{DateTime, Utc};
use diesel::dsl;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::room_members;

/// A member.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = room_members)]
pub struct RoomMember {
    /// The room.
    pub room_id: Uuid,
    /// The member.
    pub user_id: Uuid,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// Adds a member; one who is in already stays as they are.
pub async fn insert(connection: &mut AsyncPgConnection, member: &RoomMember) -> QueryResult<usize> {
    diesel::insert_into(room_members::table)
        .values(member)
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Whether `user` is in `room` now.
pub async fn exists(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    user: Uuid,
) -> QueryResult<bool> {
    diesel::select(dsl::exists(room_members::table.find((room, user)))).get_result(connection).await
}

/// Whether `user` is in `room`, and if so, keeps them in until the transaction ends.
pub async fn hold(connection: &mut AsyncPgConnection, room: Uuid, user: Uuid) -> QueryResult<bool> {
    let held = room_members::table
        .find((room, user))
        .select(room_members::user_id)
        .for_key_share()
        .first::<Uuid>(connection)
        .await
        .optional()?;
    Ok(held.is_some())
}

/// Ends a membership; false where there was none.
pub async fn delete(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    user: Uuid,
) -> QueryResult<bool> {
    let deleted =
        diesel::delete(room_members::table.find((room, user))).execute(connection).await?;
    Ok(deleted == 1)
}

/// Those of `users` who are in `room` now.
pub async fn list_among(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    users: &[Uuid],
) -> QueryResult<Vec<Uuid>> {
    room_members::table
        .filter(room_members::room_id.eq(room))
        .filter(room_members::user_id.eq_any(users))
        .select(room_members::user_id)
        .load(connection)
        .await
}

/// Members of `room`, last joined first, those before `before`.
pub async fn list_by_room(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<RoomMember>> {
    use room_members::{joined_at, user_id};
    let mut list = room_members::table
        .filter(room_members::room_id.eq(room))
        .select(RoomMember::as_select())
        .order((joined_at.desc(), user_id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        list = list.filter(joined_at.lt(time).or(joined_at.eq(time).and(user_id.lt(id))));
    }
    list.load(connection).await
}
