//! `cookie_rollout_sessions`: how live sessions with the newer cookies fare.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;

/// What a replica saw, column by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Sessions that showed an authentic token.
    pub ids: Vec<Uuid>,
    /// Whether the CSRF token was wrong.
    pub csrf_refused: Vec<bool>,
    /// Whether a refresh was refused or failed.
    pub failed: Vec<bool>,
}

/// People by how their sessions fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct Counts {
    /// All.
    #[diesel(sql_type = BigInt)]
    pub seen: i64,
    /// With a session that a replay ended.
    #[diesel(sql_type = BigInt)]
    pub replayed: i64,
    /// With a session whose CSRF token was wrong.
    #[diesel(sql_type = BigInt)]
    pub csrf_refused: i64,
    /// With a session that lives, and whose refresh failed.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
}

/// Notes what was seen under `revision`, in the order of the key: replicas do so at once. Of sessions
/// that are not live it is believed only that a replay has ended them, since `begun` and when it did:
/// who holds no session counts for nothing. Neither does an account that is younger than the decision,
/// which was made at `begun`: it may have been opened to have it taken back.
pub async fn note(
    connection: &mut AsyncPgConnection,
    revision: i64,
    seen: &Seen,
    begun: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(
        "INSERT INTO cookie_rollout_sessions AS known (revision, session_id, user_id, seen_at,
             replayed_at, csrf_refused_at, failed_at)
         SELECT $1, session.id, session.user_id, coalesce(session.ended_at, $2), session.ended_at,
             CASE WHEN session.ended_at IS NULL AND seen.csrf_refused THEN $2 END,
             CASE WHEN session.ended_at IS NULL AND seen.failed THEN $2 END
         FROM unnest($3, $4, $5) AS seen (id, csrf_refused, failed)
         JOIN auth_sessions AS session ON session.id = seen.id AND session.api = 'cookie'
         JOIN users ON users.id = session.user_id AND users.created_at < $6
         WHERE session.ended_at IS NULL AND session.expires_at > $2
             OR seen.failed AND session.end_reason = 'replay' AND session.ended_at >= $6
         ORDER BY session.id
         ON CONFLICT (revision, session_id) DO UPDATE SET
             seen_at = greatest(known.seen_at, excluded.seen_at),
             replayed_at = greatest(known.replayed_at, excluded.replayed_at),
             csrf_refused_at = greatest(known.csrf_refused_at, excluded.csrf_refused_at),
             failed_at = greatest(known.failed_at, excluded.failed_at)",
    )
    .bind::<BigInt, _>(revision)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(&seen.ids)
    .bind::<Array<Bool>, _>(&seen.csrf_refused)
    .bind::<Array<Bool>, _>(&seen.failed)
    .bind::<Timestamptz, _>(begun)
    .execute(connection)
    .await
}

/// Those seen under `revision` after `since`, and what happened to them after it; each person once,
/// however many sessions they have.
pub async fn count(
    connection: &mut AsyncPgConnection,
    revision: i64,
    since: DateTime<Utc>,
) -> QueryResult<Counts> {
    diesel::sql_query(
        "SELECT count(DISTINCT user_id) AS seen,
             count(DISTINCT user_id) FILTER (WHERE replayed_at > $2) AS replayed,
             count(DISTINCT user_id) FILTER (WHERE csrf_refused_at > $2) AS csrf_refused,
             count(DISTINCT user_id) FILTER (WHERE failed_at > $2) AS failed
         FROM cookie_rollout_sessions WHERE revision = $1 AND seen_at > $2",
    )
    .bind::<BigInt, _>(revision)
    .bind::<Timestamptz, _>(since)
    .get_result(connection)
    .await
}

/// Removes up to `batch` that count no more.
pub async fn delete_seen(
    connection: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "cookie_rollout_sessions", "seen_at <= $1", before, batch).await
}
