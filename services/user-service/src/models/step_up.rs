//! What a renewed proof of the person writes to `auth_sessions`, and what changes ask there.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::{auth_sessions, users};

/// Moves `auth_time`, which nothing else does after a login; false where the session has ended.
/// The next access token carries it.
pub async fn record(
    connection: &mut AsyncPgConnection,
    session: Uuid,
    amr: &[&str],
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_sessions::dsl;
    let live = dsl::auth_sessions.find(session).filter(dsl::ended_at.is_null());
    let proven = diesel::update(live).set((dsl::auth_time.eq(now), dsl::amr.eq(amr)));
    Ok(proven.execute(connection).await? == 1)
}

/// Locks the account, as a change of its password does, and says whether the session is still
/// live: what is written under this lock is either seen by that change or not written.
pub async fn lock_account(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    session: Uuid,
) -> QueryResult<bool> {
    let locked: Option<Uuid> = users::table
        .find(user)
        .select(users::id)
        .for_no_key_update()
        .first(connection)
        .await
        .optional()?;
    let live: i64 = auth_sessions::table
        .find(session)
        .filter(auth_sessions::ended_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    Ok(locked.is_some() && live == 1)
}
