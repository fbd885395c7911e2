//! `api_keys`: keys of users' scripts. A revoked one is deleted.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::api_keys;

/// A key.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// What the API names it by.
    pub id: Uuid,
    /// For whom it speaks.
    pub user_id: Uuid,
    /// SHA-256 of it.
    pub key_hash: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Issued.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
    /// Last use, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Stores a new key.
pub async fn insert(connection: &mut AsyncPgConnection, key: &ApiKey) -> QueryResult<usize> {
    diesel::insert_into(api_keys::table).values(key).execute(connection).await
}

/// The key with this hash, live or expired.
pub async fn find_by_hash(
    connection: &mut AsyncPgConnection,
    hash: &[u8],
) -> QueryResult<Option<ApiKey>> {
    api_keys::table
        .filter(api_keys::key_hash.eq(hash))
        .select(ApiKey::as_select())
        .first(connection)
        .await
        .optional()
}

/// All keys of `user` that are good at `now`, newest first.
pub async fn list_live(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Vec<ApiKey>> {
    api_keys::table
        .filter(api_keys::user_id.eq(user))
        .filter(api_keys::expires_at.gt(now))
        .select(ApiKey::as_select())
        .order((api_keys::created_at.desc(), api_keys::id.desc()))
        .load(connection)
        .await
}

/// Records a use, unless one was recorded within `at_most_every`.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
    at_most_every: TimeDelta,
) -> QueryResult<usize> {
    let used_lately = api_keys::last_used_at.gt(now - at_most_every);
    let due = api_keys::last_used_at.is_null().or(diesel::dsl::not(used_lately));
    diesel::update(api_keys::table.find(id).filter(due))
        .set(api_keys::last_used_at.eq(now))
        .execute(connection)
        .await
}

/// Revokes a key of `user`; false where there is none.
pub async fn delete(connection: &mut AsyncPgConnection, user: Uuid, id: Uuid) -> QueryResult<bool> {
    let own = api_keys::table.find(id).filter(api_keys::user_id.eq(user));
    Ok(diesel::delete(own).execute(connection).await? == 1)
}

/// Revokes all keys of `user`; answers how many.
pub async fn delete_all(connection: &mut AsyncPgConnection, user: Uuid) -> QueryResult<usize> {
    diesel::delete(api_keys::table.filter(api_keys::user_id.eq(user))).execute(connection).await
}

/// Removes up to `batch` keys that have expired.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "api_keys", "expires_at <= $1", now, batch).await
}
