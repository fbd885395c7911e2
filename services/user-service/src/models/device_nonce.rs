//! `device_nonces`: nonces burned by logins.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::device_nonces;

/// How much longer a nonce is kept than the clock check asks for: replicas' clocks differ, and the
/// check still takes a proof at the very edge.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// Burns a nonce; false where it was burned before. Of two at the same moment, one wins.
pub async fn burn(
    connection: &mut AsyncPgConnection,
    device: Uuid,
    nonce: &str,
    expires_at: DateTime<Utc>,
) -> QueryResult<bool> {
    let burned = diesel::insert_into(device_nonces::table)
        .values((
            device_nonces::device_id.eq(device),
            device_nonces::nonce.eq(nonce),
            device_nonces::expires_at.eq(expires_at),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(burned == 1)
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
