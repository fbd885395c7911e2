//! `devices`: registered devices and their sealed keys.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::devices;

/// A device.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = devices)]
pub struct Device {
    /// Public.
    pub id: Uuid,
    /// Its owner, once somebody has signed in on it.
    pub user_id: Option<Uuid>,
    /// Name the owner knows it by.
    pub device_name: Option<String>,
    /// What it says of itself.
    pub device_info: Option<String>,
    /// The sealed device key.
    pub sealed_key: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// Registration.
    pub created_at: DateTime<Utc>,
    /// First login.
    pub bound_at: Option<DateTime<Utc>>,
    /// Last login.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether its owner is remembered on it.
    pub trusted: bool,
    /// Whether a login in a browser made it.
    pub browser: bool,
}

/// Registers a device.
pub async fn insert(connection: &mut AsyncPgConnection, device: &Device) -> QueryResult<usize> {
    diesel::insert_into(devices::table).values(device).execute(connection).await
}

/// A device.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Device>> {
    devices::table.find(id).select(Device::as_select()).first(connection).await.optional()
}

/// A device, locked until the transaction ends.
pub async fn lock(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Device>> {
    devices::table
        .find(id)
        .select(Device::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Makes it the device of its first user.
pub async fn bind(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(devices::table.find(id))
        .set((devices::user_id.eq(user), devices::bound_at.eq(now)))
        .execute(connection)
        .await
}

/// Records a login; what the device says of itself replaces what it said before.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    info: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    #[derive(AsChangeset)]
    #[diesel(table_name = devices)]
    struct Touch<'a> {
        device_info: Option<&'a str>,
        last_used_at: DateTime<Utc>,
    }
    let touch = Touch { device_info: info, last_used_at: now };
    prepared(diesel::update(devices::table.find(id)).set(touch)).execute(connection).await
}

/// Writes what its owner may change.
pub async fn update(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    name: Option<&str>,
    trusted: bool,
) -> QueryResult<usize> {
    diesel::update(devices::table.find(id))
        .set((devices::device_name.eq(name), devices::trusted.eq(trusted)))
        .execute(connection)
        .await
}

/// Devices of `user`, newest first, those registered before `before`.
pub async fn list_by_user(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<Device>> {
    let mut list = devices::table
        .select(Device::as_select())
        .filter(devices::user_id.eq(user))
        .order((devices::created_at.desc(), devices::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        list = list.filter(
            devices::created_at.lt(time).or(devices::created_at.eq(time).and(devices::id.lt(id))),
        );
    }
    list.load(connection).await
}

/// Removes a device, and with it its sessions and nonces.
pub async fn delete(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<usize> {
    diesel::delete(devices::table.find(id)).execute(connection).await
}

/// Whether at least `ceiling` devices have no user.
pub async fn unbound_reach(connection: &mut AsyncPgConnection, ceiling: i64) -> QueryResult<bool> {
    // The ceiling bounds the counting as well; only the partial index is read.
    let last: Option<Uuid> = devices::table
        .filter(devices::user_id.is_null())
        .order(devices::created_at)
        .offset((ceiling - 1).max(0))
        .select(devices::id)
        .first(connection)
        .await
        .optional()?;
    Ok(last.is_some())
}

/// Removes up to `batch` devices that nobody has signed in on since `before`, nor still is.
pub async fn delete_unused(
    connection: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let unused = "user_id IS NOT NULL AND last_used_at < $1 AND NOT EXISTS (
        SELECT FROM auth_sessions AS s WHERE s.device_id = devices.id AND s.ended_at IS NULL)";
    delete_batch(connection, "devices", unused, before, batch).await
}

/// Removes up to `batch` browsers that were last signed in on before `before` and have no session
/// left, not even an ended one.
pub async fn delete_browsers(
    connection: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let over = "browser AND last_used_at < $1 AND NOT EXISTS (
        SELECT FROM auth_sessions AS s WHERE s.device_id = devices.id)";
    delete_batch(connection, "devices", over, before, batch).await
}

/// Removes up to `batch` devices that were registered before `before` and never used.
pub async fn delete_unbound(
    connection: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let old = "user_id IS NULL AND created_at < $1";
    delete_batch(connection, "devices", old, before, batch).await
}
