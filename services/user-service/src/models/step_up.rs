//! What a renewed proof of the person writes to `auth_sessions`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::auth_sessions;

/// Moves `auth_time`, which nothing else does after a login. The next access token carries it.
pub async fn record(
    connection: &mut AsyncPgConnection,
    session: Uuid,
    amr: &[&str],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use auth_sessions::dsl;
    let proven = (dsl::auth_time.eq(now), dsl::amr.eq(amr));
    diesel::update(dsl::auth_sessions.find(session)).set(proven).execute(connection).await
}
