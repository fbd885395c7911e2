//! `service_keys`: the ring that signs for all in service mode.

use chrono::{DateTime, Utc};
use common::clock::Clock;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::delete_batch;
use crate::schema::service_keys;

/// Published, signs after the next rotation.
pub const NEXT: &str = "next";
/// Signs.
pub const CURRENT: &str = "current";
/// Verifies until its last token is past.
pub const RETIRED: &str = "retired";
/// Refused.
pub const REVOKED: &str = "revoked";

/// Any numbers that no other lock of ours has.
const LOCK: i64 = 7_305_790_115;
const MAKING_LOCK: i64 = 7_305_790_116;

/// A key of the ring.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = service_keys)]
pub struct ServiceKey {
    /// Random key id.
    pub kid: String,
    /// What the JWKS shows.
    pub public_jwk: Value,
    /// Algorithm and size.
    pub key_type: String,
    /// Where the private key is.
    pub store: String,
    /// Which part it has in the ring.
    pub state: String,
    /// The sealed private key, PKCS#8, where it is kept here and may sign.
    pub sealed_key: Option<Vec<u8>>,
    /// Which key of the keyring sealed it.
    pub sealing_key_id: Option<String>,
    /// The longest life of its tokens, in seconds.
    pub token_life: i64,
    /// Since when the JWKS shows it.
    pub published_at: DateTime<Utc>,
    /// Since when it signs.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it stopped to.
    pub retired_at: Option<DateTime<Utc>>,
    /// Until when it still matters, once it stopped.
    pub until: Option<DateTime<Utc>>,
}

impl ServiceKey {
    /// Whether the JWKS shows it at `now`, unless it is revoked.
    #[must_use]
    pub fn is_published(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Makes everybody else who changes the ring wait until this transaction ends.
pub async fn lock(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    lock_number(connection, LOCK).await
}

/// Makes everybody else who would make a key for the ring wait until this transaction ends.
pub async fn lock_making(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    lock_number(connection, MAKING_LOCK).await
}

async fn lock_number(connection: &mut AsyncPgConnection, number: i64) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(number)
        .execute(connection)
        .await
        .map(drop)
}

/// What time it is for the ring: the database's, which is one for all who change it, and turned
/// where tests turn ours.
pub async fn now(connection: &mut AsyncPgConnection, clock: &Clock) -> QueryResult<DateTime<Utc>> {
    let now = diesel::select(sql::<Timestamptz>("clock_timestamp()"));
    Ok(clock.turned(now.get_result(connection).await?))
}

/// The keys that are not revoked: current, next, then retired ones, the newest first; those too
/// whose last token is past.
pub async fn list_unrevoked(connection: &mut AsyncPgConnection) -> QueryResult<Vec<ServiceKey>> {
    use service_keys::dsl;
    dsl::service_keys
        .select(ServiceKey::as_select())
        .filter(dsl::state.ne(REVOKED))
        .order((dsl::state, dsl::retired_at.desc()))
        .load(connection)
        .await
}

/// Those of them that are published at `now`.
pub async fn list_published(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<Vec<ServiceKey>> {
    let mut keys = list_unrevoked(connection).await?;
    keys.retain(|key| key.is_published(now));
    Ok(keys)
}

/// Adds a key.
pub async fn insert(connection: &mut AsyncPgConnection, key: &ServiceKey) -> QueryResult<usize> {
    diesel::insert_into(service_keys::table).values(key).execute(connection).await
}

/// Removes a key that has never signed.
pub async fn delete_next(connection: &mut AsyncPgConnection) -> QueryResult<usize> {
    let next = service_keys::table.filter(service_keys::state.eq(NEXT));
    diesel::delete(next).execute(connection).await
}

/// Lets the next key sign from now on.
pub async fn activate_next(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use service_keys::dsl;
    diesel::update(dsl::service_keys.filter(dsl::state.eq(NEXT)))
        .set((dsl::state.eq(CURRENT), dsl::activated_at.eq(now)))
        .execute(connection)
        .await
}

/// Takes its private part from a key and gives it `state`, `RETIRED` or `REVOKED`, until `until`.
pub async fn end(
    connection: &mut AsyncPgConnection,
    kid: &str,
    state: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> QueryResult<usize> {
    use service_keys::dsl;
    diesel::update(dsl::service_keys.find(kid))
        .set((
            dsl::state.eq(state),
            dsl::sealed_key.eq(None::<Vec<u8>>),
            dsl::sealing_key_id.eq(None::<String>),
            dsl::retired_at.eq(now),
            dsl::until.eq(until),
        ))
        .execute(connection)
        .await
}

/// Notes that keys which may sign do so, or will, for tokens that live for `seconds`.
pub async fn note_token_life(
    connection: &mut AsyncPgConnection,
    seconds: i64,
) -> QueryResult<usize> {
    use service_keys::dsl;
    let shorter = dsl::state.eq_any([CURRENT, NEXT]).and(dsl::token_life.lt(seconds));
    diesel::update(dsl::service_keys.filter(shorter))
        .set(dsl::token_life.eq(seconds))
        .execute(connection)
        .await
}

/// Removes up to `batch` keys that matter no more.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "service_keys", "until <= $1", now, batch).await
}
