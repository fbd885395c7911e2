//! `auth_sessions`: one row per refresh token family.

use chrono::{DateTime, TimeDelta, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel::sql_types::Interval;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use uuid::Uuid;

use super::delete_batch;
use crate::schema::{auth_sessions, devices};

/// A session, live or ended.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = auth_sessions)]
pub struct AuthSession {
    /// The family, and the tokens' `sid`.
    pub id: Uuid,
    /// Who signed in.
    pub user_id: Uuid,
    /// On which device.
    pub device_id: Uuid,
    /// Through which API it was opened.
    pub api: String,
    /// The device key that signs; none in service mode.
    pub kid: Option<String>,
    /// Number of the newest refresh token.
    pub counter: i64,
    /// Version of the MAC key of its refresh tokens.
    pub mac_version: i16,
    /// The family's sealed secret.
    pub sealed_secret: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// When the person last proved who they are.
    pub auth_time: DateTime<Utc>,
    /// How they did.
    pub amr: Vec<String>,
    /// The client that tokens are issued to.
    pub client_id: String,
    /// Granted scope.
    pub scope: String,
    /// User agent of the last login or rotation.
    pub user_agent: Option<String>,
    /// Address range of the last login or rotation.
    pub address_range: String,
    /// Login.
    pub created_at: DateTime<Utc>,
    /// Last login or refresh.
    pub last_seen_at: DateTime<Utc>,
    /// When the newest refresh token was made.
    pub rotated_at: DateTime<Utc>,
    /// Rotations within the limit's hour.
    pub recent_rotations: Vec<DateTime<Utc>>,
    /// Latest expiry of any access token signed.
    pub last_access_expires_at: DateTime<Utc>,
    /// End of its absolute life.
    pub expires_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why.
    pub end_reason: Option<String>,
    /// Whether a refresh has shown a device proof; from then on each must.
    pub device_proof: bool,
    /// Number of the superseded refresh token whose replay ended it.
    pub reused_jti_of: Option<i64>,
    /// SHA-256 of what stood for the device at the last login or rotation.
    pub device_hash: Option<Vec<u8>>,
    /// `address_range`, in the database's own type.
    pub last_ip_cidr: Option<IpNet>,
}

/// Live sessions of browsers whose last login or refresh was before `since`.
pub async fn count_unrefreshed(
    connection: &mut AsyncPgConnection,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    use auth_sessions::dsl;
    dsl::auth_sessions
        .filter(dsl::api.eq("cookie").and(dsl::ended_at.is_null()))
        .filter(dsl::expires_at.gt(now).and(dsl::rotated_at.lt(since)))
        .count()
        .get_result(connection)
        .await
}

/// Which live sessions of a user are meant.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// One.
    Family(Uuid),
    /// Those on a device.
    Device(Uuid),
    /// All.
    All,
    /// All but one.
    AllBut(Uuid),
    /// Those whose life is over at this time.
    Expired(DateTime<Utc>),
    /// Those that have rested longest, beyond so many.
    IdlestBeyond(i64),
}

/// Opens a session.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    session: &AuthSession,
) -> QueryResult<usize> {
    prepared(diesel::insert_into(auth_sessions::table).values(session)).execute(connection).await
}

/// A session, live or ended.
pub async fn find(
    connection: &mut AsyncPgConnection,
    id: Uuid,
) -> QueryResult<Option<AuthSession>> {
    auth_sessions::table
        .find(id)
        .select(AuthSession::as_select())
        .first(connection)
        .await
        .optional()
}

/// Live sessions of `user`, locked in the order of their ids.
pub async fn lock_live(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    which: Which,
) -> QueryResult<Vec<AuthSession>> {
    use auth_sessions::dsl;
    let live = dsl::auth_sessions
        .select(AuthSession::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::ended_at.is_null())
        .order(dsl::id)
        .for_update();
    match which {
        Which::Family(id) => live.filter(dsl::id.eq(id)).load(connection).await,
        Which::Device(device) => live.filter(dsl::device_id.eq(device)).load(connection).await,
        Which::All => live.load(connection).await,
        Which::AllBut(id) => live.filter(dsl::id.ne(id)).load(connection).await,
        Which::Expired(now) => live.filter(dsl::expires_at.le(now)).load(connection).await,
        Which::IdlestBeyond(kept) => {
            let idlest = list_idlest(connection, user, kept).await?;
            if idlest.is_empty() {
                return Ok(Vec::new());
            }
            live.filter(dsl::id.eq_any(idlest)).load(connection).await
        }
    }
}

/// Locks a session against its end, and against nothing else: a refresh goes on. False where it has
/// ended, or its life is over at `now`.
pub async fn keep_live(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_sessions::dsl;
    let kept: Option<Uuid> = dsl::auth_sessions
        .select(dsl::id)
        .filter(dsl::id.eq(id))
        .filter(dsl::ended_at.is_null())
        .filter(dsl::expires_at.gt(now))
        .for_key_share()
        .first(connection)
        .await
        .optional()?;
    Ok(kept.is_some())
}

/// Live sessions of `user` without the `kept` that were seen last.
async fn list_idlest(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    kept: i64,
) -> QueryResult<Vec<Uuid>> {
    use auth_sessions::dsl;
    dsl::auth_sessions
        .select(dsl::id)
        .filter(dsl::user_id.eq(user))
        .filter(dsl::ended_at.is_null())
        .order((dsl::last_seen_at.desc(), dsl::id))
        .offset(kept)
        .load(connection)
        .await
}

/// Users with live sessions whose life is over at `now`, from `limit` such sessions at most.
pub async fn list_users_with_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Uuid>> {
    use auth_sessions::dsl;
    let mut users: Vec<Uuid> = dsl::auth_sessions
        .select(dsl::user_id)
        .filter(dsl::ended_at.is_null())
        .filter(dsl::expires_at.le(now))
        .order(dsl::expires_at)
        .limit(limit)
        .load(connection)
        .await?;
    users.sort_unstable();
    users.dedup();
    Ok(users)
}

/// Removes up to `batch` sessions that ended before `before`, as did the last of their access
/// tokens. `before` is at least an hour ago: until then the device's next session takes over
/// their rotations.
pub async fn delete_ended(
    connection: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let over = "ended_at <= $1 AND last_access_expires_at <= $1";
    delete_batch(connection, "auth_sessions", over, before, batch).await
}

/// Sets the absolute life of a device's live session to `life` from its login.
pub async fn set_life(
    connection: &mut AsyncPgConnection,
    device: Uuid,
    life: TimeDelta,
) -> QueryResult<usize> {
    use auth_sessions::dsl;
    let of_device =
        dsl::auth_sessions.filter(dsl::device_id.eq(device)).filter(dsl::ended_at.is_null());
    let end = dsl::created_at + life.into_sql::<Interval>();
    diesel::update(of_device).set(dsl::expires_at.eq(end)).execute(connection).await
}

/// Marks sessions as ended.
pub async fn end(
    connection: &mut AsyncPgConnection,
    ids: &[Uuid],
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use auth_sessions::dsl;
    let live = dsl::auth_sessions.filter(dsl::id.eq_any(ids)).filter(dsl::ended_at.is_null());
    let ending = diesel::update(live).set((dsl::ended_at.eq(now), dsl::end_reason.eq(reason)));
    prepared(ending).execute(connection).await
}

/// Remembers which superseded refresh token ended a session.
pub async fn record_reuse(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    counter: i64,
) -> QueryResult<usize> {
    diesel::update(auth_sessions::table.find(id))
        .set(auth_sessions::reused_jti_of.eq(counter))
        .execute(connection)
        .await
}

/// Live sessions of `user` with their devices' names, newest first, those opened before `before`.
pub async fn list_live(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<(AuthSession, Option<String>)>> {
    use auth_sessions::dsl;
    let mut live = dsl::auth_sessions
        .inner_join(devices::table)
        .select((AuthSession::as_select(), devices::device_name))
        .filter(dsl::user_id.eq(user))
        .filter(dsl::ended_at.is_null())
        .filter(dsl::expires_at.gt(now))
        .order((dsl::created_at.desc(), dsl::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        live =
            live.filter(dsl::created_at.lt(time).or(dsl::created_at.eq(time).and(dsl::id.lt(id))));
    }
    live.load(connection).await
}
