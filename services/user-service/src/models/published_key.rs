//! `published_keys`: what the JWKS serves, and the pool of keys that wait.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bytea, Jsonb, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::delete_batch;
use crate::schema::{auth_sessions, published_keys};

const WAITING: &str = "waiting";
pub(super) const ACTIVE: &str = "active";
const REVOKED: &str = "revoked";

/// A key to be born into the pool.
#[derive(Debug, Insertable)]
#[diesel(table_name = published_keys)]
pub struct NewPublishedKey {
    /// Random key id.
    pub kid: String,
    /// What the JWKS shows.
    pub public_jwk: Value,
    /// Algorithm and size.
    pub key_type: String,
    /// `waiting` or `active`.
    pub state: &'static str,
    /// Whose; none while it waits.
    pub user_id: Option<Uuid>,
    /// The sealed private key, while it waits.
    pub sealed_key: Option<Vec<u8>>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// Now.
    pub published_at: DateTime<Utc>,
    /// Now, unless it waits.
    pub activated_at: Option<DateTime<Utc>>,
}

/// A key pair on its way into a keyset.
#[derive(Clone, Debug, QueryableByName)]
pub struct TakenKey {
    /// Key id.
    #[diesel(sql_type = Text)]
    pub kid: String,
    /// What the JWKS shows.
    #[diesel(sql_type = Jsonb)]
    pub public_jwk: Value,
    /// Algorithm and size.
    #[diesel(sql_type = Text)]
    pub key_type: String,
    /// The sealed private key, PKCS#8.
    #[diesel(sql_type = Bytea)]
    pub sealed_key: Vec<u8>,
    /// Since when it is published.
    #[diesel(sql_type = Timestamptz)]
    pub published_at: DateTime<Utc>,
}

/// Puts a key into the pool.
pub async fn insert_waiting(
    connection: &mut AsyncPgConnection,
    key: &TakenKey,
    sealing_key_id: &str,
) -> QueryResult<usize> {
    insert(connection, key, sealing_key_id, None, None).await
}

/// Publishes a key that was made on the spot for `user`.
pub async fn insert_active(
    connection: &mut AsyncPgConnection,
    key: &TakenKey,
    sealing_key_id: &str,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    insert(connection, key, sealing_key_id, Some(user), Some(now)).await
}

async fn insert(
    connection: &mut AsyncPgConnection,
    key: &TakenKey,
    sealing_key_id: &str,
    user_id: Option<Uuid>,
    activated_at: Option<DateTime<Utc>>,
) -> QueryResult<usize> {
    let row = NewPublishedKey {
        kid: key.kid.clone(),
        public_jwk: key.public_jwk.clone(),
        key_type: key.key_type.clone(),
        state: if user_id.is_some() { ACTIVE } else { WAITING },
        user_id,
        sealed_key: user_id.is_none().then(|| key.sealed_key.clone()),
        sealing_key_id: sealing_key_id.to_owned(),
        published_at: key.published_at,
        activated_at,
    };
    diesel::insert_into(published_keys::table).values(row).execute(connection).await
}

/// Hands out the oldest waiting key of `key_type` to `user`, never the same to two replicas;
/// `None` when the pool is dry.
pub async fn take_waiting(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    key_type: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<TakenKey>> {
    let taking = diesel::sql_query(
        "WITH taken AS (
             SELECT kid, sealed_key FROM published_keys
             WHERE state = 'waiting' AND key_type = $2
             ORDER BY published_at LIMIT 1 FOR UPDATE SKIP LOCKED
         )
         UPDATE published_keys AS p
         SET state = 'active', user_id = $1, sealed_key = NULL, activated_at = $3
         FROM taken WHERE p.kid = taken.kid
         RETURNING p.kid, p.public_jwk, p.key_type, taken.sealed_key, p.published_at",
    )
    .bind::<diesel::sql_types::Uuid, _>(user)
    .bind::<Text, _>(key_type)
    .bind::<Timestamptz, _>(now);
    prepared(taking).get_result(connection).await.optional()
}

/// Takes keys out of the JWKS; `until` is when their last tokens are past.
pub async fn revoke(
    connection: &mut AsyncPgConnection,
    kids: &[(String, DateTime<Utc>)],
) -> QueryResult<usize> {
    let (kids, untils): (Vec<&str>, Vec<DateTime<Utc>>) =
        kids.iter().map(|(kid, until)| (kid.as_str(), *until)).unzip();
    let revoking = diesel::sql_query(
        "UPDATE published_keys AS p SET state = $3, until = r.until
         FROM unnest($1, $2) AS r (kid, until) WHERE p.kid = r.kid",
    )
    .bind::<diesel::sql_types::Array<Text>, _>(kids)
    .bind::<diesel::sql_types::Array<Timestamptz>, _>(untils)
    .bind::<Text, _>(REVOKED);
    prepared(revoking).execute(connection).await
}

/// A key as the JWKS has it.
#[derive(Debug, Queryable)]
pub struct ServedKey {
    /// Whose; none while it waits.
    pub user_id: Option<Uuid>,
    /// What the JWKS shows.
    pub public_jwk: Value,
    /// When the last token that its session has signed so far expires; none where no session signs
    /// with it.
    pub last_token_expires_at: Option<DateTime<Utc>>,
}

/// A key that is served, waiting or active.
pub async fn find_served(
    connection: &mut AsyncPgConnection,
    kid: &str,
) -> QueryResult<Option<ServedKey>> {
    use published_keys::dsl;
    // By the user too: there is no index of sessions by key id.
    let its_session = auth_sessions::kid
        .eq(dsl::kid.nullable())
        .and(auth_sessions::user_id.nullable().eq(dsl::user_id))
        .and(auth_sessions::ended_at.is_null());
    dsl::published_keys
        .left_join(auth_sessions::table.on(its_session))
        .select((dsl::user_id, dsl::public_jwk, auth_sessions::last_access_expires_at.nullable()))
        .filter(dsl::kid.eq(kid))
        .filter(dsl::state.ne(REVOKED))
        .first(connection)
        .await
        .optional()
}

/// Key ids and public JWKs of the keys that are served, newest first, `limit` at most.
pub async fn list_public(
    connection: &mut AsyncPgConnection,
    limit: i64,
) -> QueryResult<Vec<(String, Value)>> {
    use published_keys::dsl;
    dsl::published_keys
        .select((dsl::kid, dsl::public_jwk))
        .filter(dsl::state.ne(REVOKED))
        .order(dsl::published_at.desc())
        .limit(limit)
        .load(connection)
        .await
}

/// Key ids of `user` that are in use.
pub async fn list_live_kids(
    connection: &mut AsyncPgConnection,
    user: Uuid,
) -> QueryResult<Vec<String>> {
    use published_keys::dsl;
    dsl::published_keys
        .select(dsl::kid)
        .filter(dsl::user_id.eq(user))
        .filter(dsl::state.eq(ACTIVE))
        .order(dsl::kid)
        .load(connection)
        .await
}

/// Whose key it is, if it is in use.
pub async fn find_user(connection: &mut AsyncPgConnection, kid: &str) -> QueryResult<Option<Uuid>> {
    use published_keys::dsl;
    dsl::published_keys
        .select(dsl::user_id.assume_not_null())
        .filter(dsl::kid.eq(kid))
        .filter(dsl::state.eq(ACTIVE))
        .first(connection)
        .await
        .optional()
}

/// Whose key it ever was, and what the JWKS shows or showed of it.
pub async fn find_owner(
    connection: &mut AsyncPgConnection,
    kid: &str,
) -> QueryResult<Option<(Option<Uuid>, Value)>> {
    use published_keys::dsl;
    dsl::published_keys
        .find(kid)
        .select((dsl::user_id, dsl::public_jwk))
        .first(connection)
        .await
        .optional()
}

/// How full the pool is and how much was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Keys that wait.
    pub waiting: i64,
    /// Those of them published for long enough.
    pub ready: i64,
    /// Keys handed out lately, by any replica.
    pub taken: i64,
}

/// Counts the keys of `key_type`: waiting, published before `since`, handed out after it.
pub async fn pool_state(
    connection: &mut AsyncPgConnection,
    key_type: &str,
    since: DateTime<Utc>,
) -> QueryResult<PoolState> {
    use published_keys::dsl;
    let keys = || dsl::published_keys.filter(dsl::key_type.eq(key_type)).select(count_star());
    let waiting = keys().filter(dsl::state.eq(WAITING)).first(connection).await?;
    let ready = keys()
        .filter(dsl::state.eq(WAITING))
        .filter(dsl::published_at.le(since))
        .first(connection)
        .await?;
    let taken = keys().filter(dsl::activated_at.gt(since)).first(connection).await?;
    Ok(PoolState { waiting, ready, taken })
}

/// Counts the keys in `state`, up to `limit`: more would be read again and again for a figure that
/// nobody needs to the last digit.
pub async fn count(
    connection: &mut AsyncPgConnection,
    state: &str,
    limit: i64,
) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        keys: i64,
    }
    let query = "SELECT count(*) AS keys
         FROM (SELECT FROM published_keys WHERE state = $1 LIMIT $2) AS counted";
    let count: Count = diesel::sql_query(query)
        .bind::<Text, _>(state)
        .bind::<BigInt, _>(limit)
        .get_result(connection)
        .await?;
    Ok(count.keys)
}

/// Removes up to `batch` revoked keys whose last tokens are past.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let expired = "state = 'revoked' AND until <= $1";
    delete_batch(connection, "published_keys", expired, now, batch).await
}
