//! Changes that need the person and not merely a token: password, devices.

use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::Authenticated;
use super::end::{EndReason, end};
use crate::error::Error;
use crate::models::auth_session::{AuthSession, Which};
use crate::models::user::{self, User};
use crate::models::{device, password_parameters};
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

/// Lets pass who signed in lately or gives the password now.
pub async fn require_recent_sign_in(
    state: &State,
    caller: &Authenticated,
    current_password: Option<&str>,
) -> Result<(), Error> {
    if let Some(password) = current_password {
        return match check_current_password(state, caller, password).await {
            Err(Error::InvalidCredentials) => Err(Error::InsufficientUserAuthentication),
            other => other.map(|_| ()),
        };
    }
    let age = state.clock.now() - caller.auth_time;
    if age <= state.settings.limits.recent_sign_in.as_delta() {
        Ok(())
    } else {
        Err(Error::InsufficientUserAuthentication)
    }
}

/// Replaces the password and ends every other session, all or nothing.
pub async fn change_password(
    state: &State,
    caller: &Authenticated,
    current: &str,
    new: Password,
) -> Result<(), Error> {
    let user = check_current_password(state, caller, current).await?;
    let admission = state.hasher.admit(true)?;
    let hash = state.hasher.hash(&admission, new).await?;
    drop(admission);
    let (now, parameters) = (state.clock.now(), state.hasher.parameters());
    let (which, reason) = (Which::AllBut(caller.session_id), EndReason::PasswordChanged);
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let ended = end(connection, user.id, which, reason, now).await?;
            password_parameters::remember(connection, &parameters, now).await?;
            let former = &user.password_hash;
            if user::replace_password_hash(connection, user.id, former, &hash, now).await? {
                Ok(ended)
            } else {
                // Changed in another session since it was checked.
                Err(Error::InvalidCredentials)
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
            let ended = end(connection, user, Which::Device(device_id), reason, now).await?;
            let device = device::lock(connection, device_id).await?;
            device.filter(|device| device.user_id == Some(user)).ok_or(Error::DeviceNotFound)?;
            device::delete(connection, device_id).await?;
            Ok::<_, Error>(ended)
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(())
}

async fn check_current_password(
    state: &State,
    caller: &Authenticated,
    password: &str,
) -> Result<User, Error> {
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, caller.user_id).await?;
    drop(connection);
    let user = user.ok_or(Error::Unauthorized { token_sent: true })?;
    let password = Password::for_login(password).ok_or(Error::InvalidCredentials)?;
    let admission = state.hasher.admit(true)?;
    let stored = Some(user.password_hash.clone());
    if state.hasher.verify(&admission, stored, password).await?.matches {
        Ok(user)
    } else {
        Err(Error::InvalidCredentials)
    }
}
