//! `presences` and `live_replicas`: who is connected in which room, through which replica.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::{presences, room_members};

#[derive(QueryableByName)]
struct Room {
    #[diesel(sql_type = SqlUuid)]
    room_id: Uuid,
}

fn distinct(rooms: Vec<Room>) -> BTreeSet<Uuid> {
    rooms.into_iter().map(|room| room.room_id).collect()
}

/// Says that `replica` lives; true where that was not known, so that its presences are gone.
pub async fn beat(connection: &mut AsyncPgConnection, replica: Uuid) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        new: bool,
    }
    let row: Row = diesel::sql_query(
        "INSERT INTO live_replicas (id, seen_at) VALUES ($1, now())
         ON CONFLICT (id) DO UPDATE SET seen_at = now() RETURNING xmax = 0 AS new",
    )
    .bind::<SqlUuid, _>(replica)
    .get_result(connection)
    .await?;
    Ok(row.new)
}

/// Enters pairs of room and user; answers the rooms in which that is new.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    replica: Uuid,
    pairs: &[(Uuid, Uuid)],
) -> QueryResult<BTreeSet<Uuid>> {
    let (rooms, users): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
    let new = diesel::sql_query(
        "INSERT INTO presences (room_id, user_id, replica_id)
         SELECT room_id, user_id, $1 FROM unnest($2, $3) AS pair (room_id, user_id)
         ON CONFLICT DO NOTHING RETURNING room_id",
    )
    .bind::<SqlUuid, _>(replica)
    .bind::<Array<SqlUuid>, _>(rooms)
    .bind::<Array<SqlUuid>, _>(users);
    Ok(distinct(new.load(connection).await?))
}

/// Takes pairs of room and user out; answers the rooms in which they were.
pub async fn delete(
    connection: &mut AsyncPgConnection,
    replica: Uuid,
    pairs: &[(Uuid, Uuid)],
) -> QueryResult<BTreeSet<Uuid>> {
    let (rooms, users): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
    let gone = diesel::sql_query(
        "DELETE FROM presences WHERE replica_id = $1
         AND (room_id, user_id) IN (SELECT * FROM unnest($2, $3)) RETURNING room_id",
    )
    .bind::<SqlUuid, _>(replica)
    .bind::<Array<SqlUuid>, _>(rooms)
    .bind::<Array<SqlUuid>, _>(users);
    Ok(distinct(gone.load(connection).await?))
}

/// Members of `room` who are connected in it, through any replica.
pub async fn list_users(
    connection: &mut AsyncPgConnection,
    room: Uuid,
) -> QueryResult<BTreeSet<Uuid>> {
    let member = room_members::room_id
        .eq(presences::room_id)
        .and(room_members::user_id.eq(presences::user_id));
    let users: Vec<Uuid> = presences::table
        .inner_join(room_members::table.on(member))
        .filter(presences::room_id.eq(room))
        .select(presences::user_id)
        .load(connection)
        .await?;
    Ok(users.into_iter().collect())
}

/// Removes up to `batch` presences of replicas that have been silent for 6 seconds, and those
/// replicas that have none left; answers the rooms concerned.
pub async fn delete_dead(
    connection: &mut AsyncPgConnection,
    batch: i64,
) -> QueryResult<BTreeSet<Uuid>> {
    let gone = diesel::sql_query(
        "DELETE FROM presences WHERE ctid = ANY (ARRAY(
             SELECT presences.ctid FROM presences JOIN live_replicas r ON r.id = replica_id
             WHERE r.seen_at < now() - interval '6 seconds'
             LIMIT $1 FOR UPDATE OF presences SKIP LOCKED)) RETURNING room_id",
    )
    .bind::<BigInt, _>(batch);
    let rooms = distinct(gone.load(connection).await?);
    diesel::sql_query(
        "DELETE FROM live_replicas r WHERE seen_at < now() - interval '6 seconds'
         AND NOT EXISTS (SELECT FROM presences WHERE replica_id = r.id)",
    )
    .execute(connection)
    .await?;
    Ok(rooms)
}

/// Removes a replica and its presences; answers the rooms concerned.
pub async fn delete_replica(
    connection: &mut AsyncPgConnection,
    replica: Uuid,
) -> QueryResult<BTreeSet<Uuid>> {
    let gone = diesel::sql_query("DELETE FROM presences WHERE replica_id = $1 RETURNING room_id")
        .bind::<SqlUuid, _>(replica);
    let rooms = distinct(gone.load(connection).await?);
    let gone = diesel::sql_query("DELETE FROM live_replicas WHERE id = $1");
    gone.bind::<SqlUuid, _>(replica).execute(connection).await?;
    Ok(rooms)
}
