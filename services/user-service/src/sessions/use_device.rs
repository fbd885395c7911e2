use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;

use super::{ApiKind, Login};
use crate::devices;
use crate::error::Error;
use crate::models::device::{self, Device};
use crate::state::State;

/// The device that a login is on: a registered one, or a browser, which becomes one here.
pub(super) async fn use_device(
    state: &State,
    connection: &mut AsyncPgConnection,
    login: &Login<'_>,
    now: DateTime<Utc>,
) -> Result<Device, Error> {
    match login.api {
        ApiKind::Bearer => bind_device(connection, login, now).await,
        ApiKind::Cookie => {
            let mut browser = devices::without_proof(&state.keyring, login.device_id, now);
            browser.user_id = Some(login.user_id);
            browser.device_name = Some(devices::browser_name(login.caller.user_agent.as_deref()));
            browser.device_info = login.device_info.map(ToOwned::to_owned);
            (browser.bound_at, browser.last_used_at) = (Some(now), Some(now));
            device::insert(connection, &browser).await?;
            Ok(browser)
        }
    }
}

/// The device belongs to the first user who signs in on it.
async fn bind_device(
    connection: &mut AsyncPgConnection,
    login: &Login<'_>,
    now: DateTime<Utc>,
) -> Result<Device, Error> {
    let device = device::lock(connection, login.device_id).await?;
    let device = device.ok_or(Error::InvalidCredentials("unknown_device"))?;
    match device.user_id {
        Some(owner) if owner == login.user_id => {}
        Some(_) => return Err(Error::InvalidCredentials("foreign_device")),
        None => device::bind(connection, device.id, login.user_id, now).await.map(|_| ())?,
    }
    device::touch(connection, device.id, login.device_info, now).await?;
    Ok(device)
}
