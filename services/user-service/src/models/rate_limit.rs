//! `rate_limits`: what the limits remember, for all replicas.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::delete_batch;
use crate::limits::Window;
use crate::schema::rate_limits;

/// SHA-256 of a limit and whom it counts.
pub type Digest = [u8; 32];

/// The window of `key`, a new one if need be, locked until the transaction ends.
pub async fn lock(
    connection: &mut AsyncPgConnection,
    key: &Digest,
    now: DateTime<Utc>,
) -> QueryResult<Window> {
    use rate_limits::dsl;
    let locking = diesel::insert_into(dsl::rate_limits)
        .values((dsl::key.eq(key.as_slice()), dsl::expires_at.eq(now)))
        .on_conflict(dsl::key)
        .do_update()
        .set(dsl::key.eq(excluded(dsl::key)))
        .returning((dsl::events, dsl::strikes, dsl::blocked_until));
    let (events, strikes, blocked_until) = prepared(locking).get_result(connection).await?;
    Ok(Window { events, strikes, blocked_until })
}

/// The window of `key` as it is, without a lock.
pub async fn find(connection: &mut AsyncPgConnection, key: &Digest) -> QueryResult<Option<Window>> {
    use rate_limits::dsl;
    let found = dsl::rate_limits.find(key.as_slice()).select((
        dsl::events,
        dsl::strikes,
        dsl::blocked_until,
    ));
    let found = prepared(found).get_result(connection).await.optional()?;
    Ok(found.map(|(events, strikes, blocked_until)| Window { events, strikes, blocked_until }))
}

/// Stores the window of `key`.
pub async fn save(
    connection: &mut AsyncPgConnection,
    key: &Digest,
    window: &Window,
    expires_at: DateTime<Utc>,
) -> QueryResult<usize> {
    use rate_limits::dsl;
    let saving = diesel::update(dsl::rate_limits.find(key.as_slice())).set((
        dsl::events.eq(&window.events),
        dsl::strikes.eq(window.strikes),
        dsl::blocked_until.eq(window.blocked_until),
        dsl::expires_at.eq(expires_at),
    ));
    prepared(saving).execute(connection).await
}

/// Removes up to `batch` windows that no longer matter.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "rate_limits", "expires_at <= $1", now, batch).await
}
