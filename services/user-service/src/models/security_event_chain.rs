//! `security_event_head` and `security_event_checkpoints`: where the chain ends, and what a purge
//! left of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::{security_event_checkpoints, security_event_head};

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = security_event_head)]
pub struct Head {
    /// Place of the last linked row.
    pub position: i64,
    /// Its link.
    pub link: Vec<u8>,
    /// Which key made the seal.
    pub key_version: i16,
    /// Over both.
    pub seal: Vec<u8>,
}

/// Rows next to each other that are gone.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = security_event_checkpoints)]
pub struct Checkpoint {
    /// Place of the first.
    pub first_position: i64,
    /// Place of the last.
    pub last_position: i64,
    /// The link before the first.
    pub former_link: Vec<u8>,
    /// The link of the last.
    pub link: Vec<u8>,
    /// The latest of the purges.
    pub purged_at: DateTime<Utc>,
    /// Which key made the seal.
    pub key_version: i16,
    /// Over all of it.
    pub seal: Vec<u8>,
}

/// The end of the chain; none where nothing was ever linked.
pub async fn find_head(connection: &mut AsyncPgConnection) -> QueryResult<Option<Head>> {
    security_event_head::table.select(Head::as_select()).first(connection).await.optional()
}

/// Moves the end.
pub async fn save_head(connection: &mut AsyncPgConnection, head: &Head) -> QueryResult<usize> {
    diesel::insert_into(security_event_head::table)
        .values(head)
        .on_conflict(security_event_head::only_one)
        .do_update()
        .set(head)
        .execute(connection)
        .await
}

/// Checkpoints that begin after `position`, in order, `limit` at most.
pub async fn list_checkpoints(
    connection: &mut AsyncPgConnection,
    position: i64,
    limit: i64,
) -> QueryResult<Vec<Checkpoint>> {
    use security_event_checkpoints::dsl;
    dsl::security_event_checkpoints
        .select(Checkpoint::as_select())
        .filter(dsl::first_position.gt(position))
        .order(dsl::first_position)
        .limit(limit)
        .load(connection)
        .await
}

/// The checkpoints that end at any of `positions`.
pub async fn list_ending(
    connection: &mut AsyncPgConnection,
    positions: &[i64],
) -> QueryResult<Vec<Checkpoint>> {
    use security_event_checkpoints::dsl;
    dsl::security_event_checkpoints
        .select(Checkpoint::as_select())
        .filter(dsl::last_position.eq_any(positions))
        .load(connection)
        .await
}

/// The checkpoints with an end among the places from `first` to `last`, or next to them.
pub async fn list_near(
    connection: &mut AsyncPgConnection,
    first: i64,
    last: i64,
) -> QueryResult<Vec<Checkpoint>> {
    use security_event_checkpoints::dsl;
    dsl::security_event_checkpoints
        .select(Checkpoint::as_select())
        .filter(dsl::first_position.between(first, last + 1))
        .or_filter(dsl::last_position.between(first - 1, last))
        .load(connection)
        .await
}

/// Puts `checkpoint` in the place of those that it has been merged from, by where they begin.
pub async fn replace_checkpoints(
    connection: &mut AsyncPgConnection,
    merged: &[i64],
    checkpoint: &Checkpoint,
) -> QueryResult<usize> {
    use security_event_checkpoints::dsl;
    let merged = dsl::security_event_checkpoints.filter(dsl::first_position.eq_any(merged));
    diesel::delete(merged).execute(connection).await?;
    diesel::insert_into(dsl::security_event_checkpoints)
        .values(checkpoint)
        .execute(connection)
        .await
}
