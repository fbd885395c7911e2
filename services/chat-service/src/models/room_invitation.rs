//! `room_invitations`: invitations not yet used.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::room_invitations;

/// An invitation.
#[derive(Clone, Debug, Insertable, AsChangeset)]
#[diesel(table_name = room_invitations)]
pub struct RoomInvitation {
    /// Where to.
    pub room_id: Uuid,
    /// Who may join with it.
    pub user_id: Uuid,
    /// The member who invited.
    pub invited_by: Uuid,
    /// Worthless from then on.
    pub expires_at: DateTime<Utc>,
}

/// Invites; an earlier invitation of the same user is replaced.
pub async fn upsert(
    connection: &mut AsyncPgConnection,
    invitation: &RoomInvitation,
) -> QueryResult<usize> {
    diesel::insert_into(room_invitations::table)
        .values(invitation)
        .on_conflict((room_invitations::room_id, room_invitations::user_id))
        .do_update()
        .set(invitation)
        .execute(connection)
        .await
}

/// Uses an invitation up, if there is one; the time until which it was good.
pub async fn take(
    connection: &mut AsyncPgConnection,
    room: Uuid,
    user: Uuid,
) -> QueryResult<Option<DateTime<Utc>>> {
    diesel::delete(room_invitations::table.find((room, user)))
        .returning(room_invitations::expires_at)
        .get_result(connection)
        .await
        .optional()
}

/// Removes up to `batch` invitations that expired before `now`.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM room_invitations WHERE expires_at <= $1 AND (room_id, user_id) IN \
         (SELECT room_id, user_id FROM room_invitations WHERE expires_at <= $1 LIMIT $2)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(batch)
    .execute(connection)
    .await
}
