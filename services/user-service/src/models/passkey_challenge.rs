//! `passkey_challenges`: web authentication ceremonies under way, one of a kind and session.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::delete_batch;
use crate::schema::passkey_challenges;

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// Adding a passkey.
    Registration,
    /// Showing one.
    Authentication,
}

impl Ceremony {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Authentication => "authentication",
        }
    }
}

/// Stores a challenge in the place of an earlier one of its kind.
pub async fn put(
    connection: &mut AsyncPgConnection,
    session: Uuid,
    ceremony: Ceremony,
    state: &Value,
    expires_at: DateTime<Utc>,
) -> QueryResult<usize> {
    use passkey_challenges::dsl;
    diesel::insert_into(dsl::passkey_challenges)
        .values((
            dsl::session_id.eq(session),
            dsl::ceremony.eq(ceremony.as_str()),
            dsl::state.eq(state),
            dsl::expires_at.eq(expires_at),
        ))
        .on_conflict((dsl::session_id, dsl::ceremony))
        .do_update()
        .set((dsl::state.eq(excluded(dsl::state)), dsl::expires_at.eq(excluded(dsl::expires_at))))
        .execute(connection)
        .await
}

/// Takes the challenge out: nobody else gets it. `None` where there is none or it is too late.
pub async fn take(
    connection: &mut AsyncPgConnection,
    session: Uuid,
    ceremony: Ceremony,
    now: DateTime<Utc>,
) -> QueryResult<Option<Value>> {
    let taken: Option<(Value, DateTime<Utc>)> =
        diesel::delete(passkey_challenges::table.find((session, ceremony.as_str())))
            .returning((passkey_challenges::state, passkey_challenges::expires_at))
            .get_result(connection)
            .await
            .optional()?;
    Ok(taken.filter(|(_, expires_at)| now < *expires_at).map(|(state, _)| state))
}

/// Removes up to `batch` challenges that nobody answered.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "passkey_challenges", "expires_at <= $1", now, batch).await
}
