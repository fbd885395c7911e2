//! What refreshes write to their rows of `auth_sessions`.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use uuid::Uuid;

use super::auth_session::AuthSession;
use crate::schema::auth_sessions;

/// What a rotation writes.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = auth_sessions)]
pub struct Rotation {
    /// The next counter.
    pub counter: i64,
    /// Who asked.
    pub user_agent: Option<String>,
    /// From where.
    pub address_range: String,
    /// From where, in the database's own type.
    pub last_ip_cidr: Option<IpNet>,
    /// What stands for the device that asked.
    pub device_hash: Option<Vec<u8>>,
    /// Now.
    pub last_seen_at: DateTime<Utc>,
    /// Now.
    pub rotated_at: DateTime<Utc>,
    /// Rotations within the limit's hour, this one included.
    pub recent_rotations: Vec<DateTime<Utc>>,
    /// Version of the MAC key of the new token.
    pub mac_version: i16,
    /// Latest expiry of any access token signed, the coming one included.
    pub last_access_expires_at: DateTime<Utc>,
}

/// Moves the counter on from that of `read`, in one compare-and-set; false where somebody else
/// did, the session has ended, or it has become one that asks for proofs.
pub async fn rotate(
    connection: &mut AsyncPgConnection,
    read: &AuthSession,
    rotation: &Rotation,
) -> QueryResult<bool> {
    use auth_sessions::dsl;
    let head = dsl::auth_sessions
        .find(read.id)
        .filter(dsl::counter.eq(rotation.counter - 1))
        .filter(dsl::device_proof.eq(read.device_proof))
        .filter(dsl::ended_at.is_null());
    Ok(prepared(diesel::update(head).set(rotation)).execute(connection).await? == 1)
}

/// From now on each refresh of the session must show a device proof.
pub async fn ask_for_proofs(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<usize> {
    diesel::update(auth_sessions::table.find(id))
        .set(auth_sessions::device_proof.eq(true))
        .execute(connection)
        .await
}

/// Records the expiry of one more access token before it is signed; false where the session is
/// not what it was when it was `read`: ended, refreshed, or one that now asks for proofs.
pub async fn extend_access(
    connection: &mut AsyncPgConnection,
    read: &AuthSession,
    access_expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_sessions::dsl;
    let head = dsl::auth_sessions
        .find(read.id)
        .filter(dsl::counter.eq(read.counter))
        .filter(dsl::device_proof.eq(read.device_proof))
        .filter(dsl::ended_at.is_null());
    let expiry = greatest(dsl::last_access_expires_at, access_expires_at);
    let extension = (dsl::last_access_expires_at.eq(expiry), dsl::last_seen_at.eq(now));
    Ok(prepared(diesel::update(head).set(extension)).execute(connection).await? == 1)
}

diesel::define_sql_function! {
    /// The later of two times.
    fn greatest(a: diesel::sql_types::Timestamptz, b: diesel::sql_types::Timestamptz)
        -> diesel::sql_types::Timestamptz;
}

/// Rotations of the device's latest session, so that the limit outlives a login.
pub async fn find_recent_rotations(
    connection: &mut AsyncPgConnection,
    device: Uuid,
) -> QueryResult<Vec<DateTime<Utc>>> {
    use auth_sessions::dsl;
    dsl::auth_sessions
        .select(dsl::recent_rotations)
        .filter(dsl::device_id.eq(device))
        .order(dsl::created_at.desc())
        .first(connection)
        .await
        .optional()
        .map(Option::unwrap_or_default)
}
