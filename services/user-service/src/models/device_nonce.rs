//! `device_nonces`: nonces burned by logins.

use chrono::{DateTime, TimeDelta, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::device_nonces;

/// How much longer a nonce is kept than the clock check asks for: replicas' clocks differ, and the
/// check still takes a proof at the very edge.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// Burns a nonce; false where it was burned before. Of two at the same moment, one wins.
///
/// Nobody waits for the disk: a crash that loses this has not opened the session either, whose
/// transaction is written behind it.
pub async fn burn(
    connection: &mut AsyncPgConnection,
    device: Uuid,
    nonce: &str,
    expires_at: DateTime<Utc>,
) -> QueryResult<bool> {
    let statement = diesel::sql_query(
        "INSERT INTO device_nonces (device_id, nonce, expires_at)
         SELECT $1, $2, $3 WHERE set_config('synchronous_commit', 'off', true) = 'off'
         ON CONFLICT DO NOTHING",
    )
    .bind::<diesel::sql_types::Uuid, _>(device)
    .bind::<diesel::sql_types::Text, _>(nonce)
    .bind::<diesel::sql_types::Timestamptz, _>(expires_at);
    Ok(prepared(statement).execute(connection).await? == 1)
}

/// Makes a nonce fresh again whose login was turned away unjudged.
pub async fn give_back(
    connection: &mut AsyncPgConnection,
    device: Uuid,
    nonce: &str,
) -> QueryResult<usize> {
    diesel::delete(device_nonces::table.find((device, nonce))).execute(connection).await
}

/// Removes up to `batch` nonces that the clock check refuses by now.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "device_nonces", "expires_at <= $1", now - MARGIN, batch).await
}
