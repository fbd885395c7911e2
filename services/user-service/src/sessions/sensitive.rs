//! Changes that need the person and not merely a token: password, devices.

use common::http::ClientAddress;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::Authenticated;
use super::end::{EndReason, end, end_under_lock};
use crate::error::Error;
use crate::limits::Limit;
use crate::models::auth_session::{AuthSession, Which};
use crate::models::device::{self, Device};
use crate::models::user::{self, User};
use crate::models::{password_parameters, user_keyset};
use crate::passwords::Password;
use crate::state::State;

/// Ends sessions of `user` in a transaction of its own; answers how many.
pub async fn end_now(
    state: &State,
    user: Uuid,
    which: Which,
    reason: EndReason,
) -> Result<usize, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let ended = connection
        .transaction(async |connection| end(connection, user, which, reason, now).await)
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(ended.len())
}

/// Lets pass who signed in lately.
pub fn require_recent_login(state: &State, caller: &Authenticated) -> Result<(), Error> {
    let age = state.clock.now() - caller.auth_time;
    if age <= state.settings.limits.recent_sign_in.as_delta() {
        Ok(())
    } else {
        Err(Error::InsufficientUserAuthentication)
    }
}

/// Lets pass who signed in lately or gives the password now.
pub async fn require_recent_sign_in(
    state: &State,
    caller: &Authenticated,
    address: ClientAddress,
    current_password: Option<&str>,
) -> Result<(), Error> {
    if let Some(password) = current_password {
        return match check_current_password(state, caller, address, password).await {
            Err(Error::InvalidCredentials(_)) => Err(Error::InsufficientUserAuthentication),
            other => other.map(|_| ()),
        };
    }
    require_recent_login(state, caller)
}

/// Replaces the password and ends every other session, all or nothing.
pub async fn change_password(
    state: &State,
    caller: &Authenticated,
    address: ClientAddress,
    current: &str,
    new: Password,
) -> Result<(), Error> {
    let user = check_current_password(state, caller, address, current).await?;
    let admission = state.hasher.admit(false)?;
    let hash = state.hasher.hash(&admission, new).await?;
    drop(admission);
    let (now, parameters) = (state.clock.now(), state.hasher.parameters());
    let (which, reason) = (Which::AllBut(caller.session_id), EndReason::PasswordChanged);
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let ended = end(connection, user.id, which, reason, now).await?;
            password_parameters::remember(connection, &parameters, now).await?;
            let version = user.password_version;
            if user::change_password(connection, user.id, version, &hash, now).await? {
                Ok(ended)
            } else {
                // Changed in another session since it was checked.
                Err(Error::InvalidCredentials("password_changed"))
            }
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(())
}

/// Removes a device of `user` and ends its session first, so that the change feed hears of it.
pub async fn remove_device(state: &State, user: Uuid, device_id: Uuid) -> Result<(), Error> {
    let (now, reason) = (state.clock.now(), EndReason::DeviceRemoved);
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let mut keyset = user_keyset::lock(connection, user, now).await?;
            lock_own_device(connection, user, device_id).await?;
            let which = Which::Device(device_id);
            let ended = end_under_lock(connection, user, which, reason, &mut keyset, now).await?;
            user_keyset::save(connection, user, &keyset, now).await?;
            device::delete(connection, device_id).await?;
            Ok::<_, Error>(ended)
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(())
}

pub(super) async fn lock_own_device(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    device_id: Uuid,
) -> Result<Device, Error> {
    let device = device::lock(connection, device_id).await?;
    device.filter(|device| device.user_id == Some(user)).ok_or(Error::DeviceNotFound)
}

/// Costs one hash, and no more of them than the limits allow: who holds a token may neither guess
/// the password nor keep others from signing in.
async fn check_current_password(
    state: &State,
    caller: &Authenticated,
    address: ClientAddress,
    password: &str,
) -> Result<User, Error> {
    state.limiter.check(Limit::PasswordCheck, caller.user_id.into()).await?;
    state.limiter.check(Limit::Login, address.limit_key().into()).await?;
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, caller.user_id).await?;
    drop(connection);
    let user = user.ok_or(Error::Unauthorized { token_sent: true })?;
    let password =
        Password::for_login(password).ok_or(Error::InvalidCredentials("wrong_password"))?;
    let admission = state.hasher.admit(false)?;
    let stored = Some(user.password_hash.clone());
    if state.hasher.verify(&admission, stored, password).await?.matches {
        Ok(user)
    } else {
        Err(Error::InvalidCredentials("wrong_password"))
    }
}
