//! `auth_vault`: grants that are over go some time afterwards, with the ids on them.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::delete_batch;

/// Deletes a batch of online grants that had expired by `time` and have brought nothing since. Those
/// to be revoked are the outbox's.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    time: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let expired = "token_type = 'refresh' AND state <> 'revoking' \
                   AND grant_expires_at <= $1 AND updated_at <= $1";
    delete_batch(connection, "auth_vault", expired, time, batch).await
}

/// Deletes a batch of grants of either type that were dead by `time`.
pub async fn delete_dead(
    connection: &mut AsyncPgConnection,
    time: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let dead = "state = 'dead' AND updated_at <= $1";
    delete_batch(connection, "auth_vault", dead, time, batch).await
}
