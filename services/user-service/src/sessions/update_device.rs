use chrono::TimeDelta;
use diesel_async::AsyncConnection as _;
use serde_json::json;
use uuid::Uuid;

use super::end::EndReason;
use super::sensitive::{end_now, lock_own_device};
use super::{Authenticated, Caller};
use crate::audit::{self, Event, Kind};
use crate::config::RefreshSettings;
use crate::error::Error;
use crate::models::auth_session::{self, Which};
use crate::models::device::{self, Device};
use crate::models::user_keyset;
use crate::state::State;

/// What an owner changes of a device; what is not given stays.
#[derive(Debug, Default)]
pub struct DeviceUpdate {
    /// Its name.
    pub name: Option<String>,
    /// Whether its owner is remembered on it.
    pub trusted: Option<bool>,
}

/// How long a session on a device may live from its login.
pub(super) fn session_life(settings: &RefreshSettings, trusted: bool) -> TimeDelta {
    if trusted { settings.trusted_life.as_delta() } else { settings.life.as_delta() }
}

/// Changes a device of the caller's and answers it as it is now. Its session lives as long as sessions
/// on such a device do, counted from its login; where that is over, it ends.
pub async fn update_device(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    device_id: Uuid,
    update: DeviceUpdate,
) -> Result<Device, Error> {
    let user = caller.user_id;
    let mut connection = state.pool.get().await?;
    let (was_trusted, device) = connection
        .transaction(async |connection| {
            let now = state.clock.now();
            if update.trusted.is_some() {
                // Whoever ends sessions holds it while locking several of them.
                user_keyset::lock(connection, user, now).await?;
            }
            let mut device = lock_own_device(connection, user, device_id).await?;
            caller.keep_proven(connection, client, now).await?;
            let was_trusted = device.trusted;
            device.device_name = update.name.or(device.device_name);
            device.trusted = update.trusted.unwrap_or(was_trusted);
            let (name, trusted) = (device.device_name.as_deref(), device.trusted);
            device::update(connection, device_id, name, trusted).await?;
            if trusted != was_trusted {
                let life = session_life(&state.settings.refresh, trusted);
                auth_session::set_life(connection, device_id, life).await?;
                let details = json!({ "device_id": device_id, "trusted": trusted });
                let event = caller.event(Kind::DeviceTrusted, client);
                audit::record(connection, &Event { details, ..event }).await?;
            }
            Ok::<_, Error>((was_trusted, device))
        })
        .await?;
    drop(connection);
    if was_trusted && !device.trusted {
        let which = Which::Expired(state.clock.now());
        end_now(state, user, which, EndReason::Expired).await?;
    }
    Ok(device)
}
