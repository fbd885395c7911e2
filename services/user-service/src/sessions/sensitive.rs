//! Changes that need the person and not merely a token: password, devices.

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::json;
use token_verifier::is_recent;
use uuid::Uuid;

use super::Authenticated;
use super::Caller;
use super::end::{EndReason, Ending, end, end_under_lock};
use crate::audit::{self, Event, Kind};
use crate::captcha;
use crate::error::Error;
use crate::limits::Limit;
use crate::models::auth_session::{AuthSession, Which};
use crate::models::device::{self, Device};
use crate::models::passkey::{self, StoredPasskey};
use crate::models::user::{self, User};
use crate::models::{api_key, password_parameters, user_keyset};
use crate::passwords::Password;
use crate::state::State;
use crate::step_up::{self, count};

/// Ends sessions of `user` in a transaction of its own; answers how many.
pub async fn end_now(
    state: &State,
    user: Uuid,
    which: Which,
    ending: impl Into<Ending<'_>>,
) -> Result<usize, Error> {
    let (now, ending) = (state.clock.now(), ending.into());
    let mut connection = state.pool.get().await?;
    let ended = connection
        .transaction(async |connection| end(connection, user, which, ending, now).await)
        .await?;
    drop(connection);
    state.forget_sessions(&ended, ending.reason);
    Ok(ended.len())
}

/// Ends sessions of the caller's; answers how many.
pub async fn end_own(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    which: Which,
    reason: EndReason,
) -> Result<usize, Error> {
    let (now, user) = (state.clock.now(), caller.user_id);
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let mut keyset = user_keyset::lock(connection, user, now).await?;
            caller.keep_proven(connection, client, now).await?;
            let ending = reason.by(client);
            let ended = end_under_lock(connection, user, which, ending, &mut keyset, now).await?;
            user_keyset::save(connection, user, &keyset, now).await?;
            Ok::<_, Error>(ended)
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(ended.len())
}

/// Lets pass who signed in lately.
pub fn require_recent_login(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
) -> Result<(), Error> {
    let max_age = state.settings.limits.recent_sign_in.as_delta();
    if is_recent(caller.auth_time, max_age, state.clock.now()) {
        return Ok(());
    }
    count(state, "required");
    step_up::record_refusal(state, caller, client, "required");
    tracing::info!(session_id = %caller.session_id, "step_up_required");
    Err(Error::InsufficientUserAuthentication(max_age))
}

/// Lets pass who signed in lately or gives the password now.
pub async fn require_recent_sign_in(
    state: &State,
    caller: &mut Authenticated,
    client: &Caller,
    current_password: Option<&str>,
) -> Result<(), Error> {
    let Some(password) = current_password else {
        return require_recent_login(state, caller, client);
    };
    let checked = check_current_password(state, caller, client, password).await;
    step_up::judged(state, caller, client, &checked);
    match checked {
        Err(Error::InvalidCredentials(_)) => {
            let max_age = state.settings.limits.recent_sign_in.as_delta();
            Err(Error::InsufficientUserAuthentication(max_age))
        }
        Err(error) => Err(error),
        Ok(_) => {
            caller.proven_by_password = true;
            Ok(())
        }
    }
}

/// What a change of the password comes to.
#[derive(Debug)]
pub struct PasswordChanged {
    /// The account as it is now.
    pub user: User,
    /// Those that still prove the user, for them to look through.
    pub passkeys: Vec<StoredPasskey>,
    /// API keys that work no more.
    pub api_keys_revoked: usize,
}

/// Replaces the password, ends every other session and revokes the API keys, all or nothing.
pub async fn change_password(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    current: &str,
    new: Password,
) -> Result<PasswordChanged, Error> {
    let checked = check_current_password(state, caller, client, current).await;
    step_up::judged(state, caller, client, &checked);
    let user = checked?;
    let admission = state.hasher.admit(false)?;
    let hash = state.hasher.hash(&admission, new).await?;
    drop(admission);
    let (now, parameters) = (state.clock.now(), state.hasher.parameters());
    let (which, reason) = (Which::AllBut(caller.session_id), EndReason::PasswordChanged);
    let event = caller.event(Kind::PasswordChanged, client);
    let mut connection = state.pool.get().await?;
    let (ended, changed): (Vec<AuthSession>, _) = connection
        .transaction(async |connection| {
            let ended = end(connection, user.id, which, reason.by(client), now).await?;
            caller.keep_live(connection, now).await?;
            audit::record(connection, &event).await?;
            password_parameters::remember(connection, &parameters, now).await?;
            let version = user.password_version;
            if !user::change_password(connection, user.id, version, &hash, now).await? {
                // Changed in another session since it was checked.
                return Err(Error::InvalidCredentials("password_changed"));
            }
            let api_keys_revoked = api_key::delete_all(connection, user.id).await?;
            if api_keys_revoked > 0 {
                let details = json!({ "keys": api_keys_revoked, "reason": "password_changed" });
                let event = caller.event(Kind::ApiKeyRevoked, client);
                audit::record(connection, &Event { details, ..event }).await?;
            }
            let passkeys = passkey::list(connection, user.id).await?;
            let (password_hash, password_version) = (hash, version + 1);
            let user = User { password_hash, password_version, updated_at: now, ..user };
            Ok((ended, PasswordChanged { user, passkeys, api_keys_revoked }))
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, reason);
    Ok(changed)
}

/// Removes a device of the caller's and ends its session first, so that the change feed hears of it.
pub async fn remove_device(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    device_id: Uuid,
) -> Result<(), Error> {
    let (now, reason, user) = (state.clock.now(), EndReason::DeviceRemoved, caller.user_id);
    let details = json!({ "device_id": device_id });
    let event = Event { details, ..caller.event(Kind::DeviceRemoved, client) };
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let mut keyset = user_keyset::lock(connection, user, now).await?;
            lock_own_device(connection, user, device_id).await?;
            caller.keep_proven(connection, client, now).await?;
            let which = Which::Device(device_id);
            let ended =
                end_under_lock(connection, user, which, reason.by(client), &mut keyset, now)
                    .await?;
            user_keyset::save(connection, user, &keyset, now).await?;
            device::delete(connection, device_id).await?;
            audit::record(connection, &event).await?;
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
/// the password nor keep others from signing in. A wrong one counts as a login that failed. Where the
/// caller's session has ended since the request's head was judged, nothing is judged or counted.
pub async fn check_current_password(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    password: &str,
) -> Result<User, Error> {
    let mut connection = state.pool.get().await?;
    caller.keep_live(&mut connection, state.clock.now()).await?;
    drop(connection);
    state.limiter.check(Limit::PasswordCheck, caller.user_id.into()).await?;
    state.limiter.check(Limit::Login, client.address.limit_key().into()).await?;
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, caller.user_id).await?;
    drop(connection);
    let user = user.ok_or(Error::Unauthorized { token_sent: true })?;
    if is_password_of(state, &user, password).await? {
        return Ok(user);
    }
    captcha::count_failure(state, &user.username).await?;
    Err(Error::InvalidCredentials("wrong_password"))
}

async fn is_password_of(state: &State, user: &User, password: &str) -> Result<bool, Error> {
    let Some(password) = Password::for_login(password) else { return Ok(false) };
    let admission = state.hasher.admit(false)?;
    let stored = Some(user.password_hash.clone());
    Ok(state.hasher.verify(&admission, stored, password).await?.matches)
}
