//! `published_keys.until` of keys in use: when those retire that no session may be signing with.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::published_key::ACTIVE;
use crate::schema::published_keys;

/// Says until when a key in use is served that no session may be signing with.
pub async fn keep_until(
    connection: &mut AsyncPgConnection,
    kid: &str,
    until: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(published_keys::table.find(kid))
        .set(published_keys::until.eq(until))
        .execute(connection)
        .await
}

/// Keys in use whose time is over at `now`, with their users, `limit` at most.
pub async fn list_due(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<(Uuid, String)>> {
    use published_keys::dsl;
    dsl::published_keys
        .select((dsl::user_id.assume_not_null(), dsl::kid))
        .filter(dsl::state.eq(ACTIVE))
        .filter(dsl::until.le(now))
        .order(dsl::until)
        .limit(limit)
        .load(connection)
        .await
}

/// Takes back what [`keep_until`] said.
pub async fn keep(connection: &mut AsyncPgConnection, kid: &str) -> QueryResult<usize> {
    let key = published_keys::table.find(kid).filter(published_keys::state.eq(ACTIVE));
    diesel::update(key)
        .set(published_keys::until.eq(None::<DateTime<Utc>>))
        .execute(connection)
        .await
}
