//! A login's transaction: binds the device, ends its earlier session, gives it a key, opens the
//! family.

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::json;
use uuid::Uuid;

use super::end::{EndReason, end_under_lock};
use super::sensitive::end_now;
use super::update_device::session_life;
use super::use_device::use_device;
use super::{ApiKind, Caller, RefreshToken, TokenPair, new_secret};
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::auth_session::{self, AuthSession, Which};
use crate::models::published_key::{self, TakenKey};
use crate::models::user_keyset::{DeviceJwk, Keyset};
use crate::models::{rotation, user, user_keyset};
use crate::state::State;

/// A login whose proof and password hold.
#[derive(Debug)]
pub struct Login<'a> {
    /// Who.
    pub user_id: Uuid,
    /// Version of the password that was checked.
    pub password_version: i32,
    /// On which device.
    pub device_id: Uuid,
    /// What the device says of itself now.
    pub device_info: Option<&'a str>,
    /// From where.
    pub caller: Caller,
    /// Through which API; a browser becomes a device here, named by `device_id`.
    pub api: ApiKind,
    /// The session that the same browser had until now: it ends.
    pub replaces: Option<AuthSession>,
}

impl Login<'_> {
    /// Which of the user's sessions make way for this one. A browser's former session may be
    /// somebody else's: that one ends after this has begun, since nobody locks two keysets.
    fn which_ends(&self) -> Which {
        let same_user = self.replaces.as_ref().filter(|former| former.user_id == self.user_id);
        same_user.map_or(Which::Device(self.device_id), |former| Which::Family(former.id))
    }

    async fn end_other_users(&self, state: &State) -> Result<(), Error> {
        match &self.replaces {
            Some(former) if former.user_id != self.user_id => {
                let which = Which::Family(former.id);
                end_now(state, former.user_id, which, EndReason::Login.by(&self.caller))
                    .await
                    .map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

/// What a login comes to.
#[derive(Debug)]
pub struct Opened {
    /// The session.
    pub session: AuthSession,
    /// Its first tokens.
    pub tokens: TokenPair,
    /// Those that ended because one may have no more.
    pub crowded_out: Vec<AuthSession>,
}

/// What the transaction comes to.
struct Written {
    session: AuthSession,
    key: Option<TakenKey>,
    /// The device's earlier session.
    ended: Vec<AuthSession>,
    /// Those that the ceiling has no room for.
    crowded_out: Vec<AuthSession>,
}

/// Opens a session and answers its first tokens.
pub async fn open(state: &State, login: &Login<'_>) -> Result<Opened, Error> {
    let now = state.clock.now();
    let family = Uuid::new_v4();
    let (secret, sealed_secret) = new_secret(&state.keyring, family);
    let mut session = new_session(state, login, family, now);
    session.sealing_key_id = sealed_secret.key_id().to_owned();
    session.sealed_secret = sealed_secret.into_bytes();
    let access = sign_ahead(state, &session, now).await?;
    let Written { session, key, ended, crowded_out } =
        with_a_key(state, login, session, now).await?;
    state.forget_sessions(&ended, EndReason::Login);
    state.forget_sessions(&crowded_out, EndReason::TooManySessions);
    login.end_other_users(state).await?;
    let version = state.mac_keys.writing_version();
    let refresh_token = RefreshToken::render(&state.mac_keys, version, family, 0, &secret)
        .ok_or_else(|| Error::Internal("the writing MAC key is missing".to_owned()))?;
    let (access_token, expires_in) = match (access, &key) {
        (Some(access), _) => access,
        (None, Some(key)) => {
            let signer = state.signing.remember_signer(&key.kid, &key.sealed_key)?;
            state.signing.sign(&signer, &session, now).await?
        }
        (None, None) => return Err(Error::Internal("a session without a key".to_owned())),
    };
    let tokens = TokenPair {
        access_token,
        refresh_token,
        expires_in,
        refresh_expires_in: (session.expires_at - now).num_seconds(),
    };
    Ok(Opened { session, tokens, crowded_out })
}

/// A service key may be outside this process and fail to sign: it does so before anything is
/// written, so that no earlier session ends for a login that comes to nothing. Whether the device is
/// trusted is known only afterwards: the token outlives neither kind of session.
async fn sign_ahead(
    state: &State,
    session: &AuthSession,
    now: DateTime<Utc>,
) -> Result<Option<(String, i64)>, Error> {
    if state.signing.uses_device_keys() {
        return Ok(None);
    }
    let trusted_end = now + session_life(&state.settings.refresh, true);
    let session =
        AuthSession { expires_at: session.expires_at.min(trusted_end), ..session.clone() };
    let signer = state.signing.signer(&state.pool, &session).await?;
    state.signing.sign(&signer, &session, now).await.map(Some)
}

fn new_session(state: &State, login: &Login<'_>, id: Uuid, now: DateTime<Utc>) -> AuthSession {
    let settings = &state.settings;
    let expires_at = now + session_life(&settings.refresh, false);
    let (client_id, scope) = login.api.client_and_scope(settings);
    AuthSession {
        id,
        user_id: login.user_id,
        device_id: login.device_id,
        api: login.api.as_str().to_owned(),
        kid: None,
        counter: 0,
        mac_version: state.mac_keys.writing_version().into(),
        sealed_secret: Vec::new(),
        sealing_key_id: String::new(),
        auth_time: now,
        amr: login.api.amr(),
        client_id: client_id.to_owned(),
        scope: scope.to_owned(),
        user_agent: login.caller.user_agent.clone(),
        address_range: login.caller.address.range(),
        created_at: now,
        last_seen_at: now,
        rotated_at: now,
        recent_rotations: Vec::new(),
        last_access_expires_at: state.signing.access_expiry(now, expires_at),
        expires_at,
        ended_at: None,
        end_reason: None,
        device_proof: false,
        reused_jti_of: None,
        device_hash: login.caller.device_hash(),
        last_ip_cidr: Some(login.caller.address.network()),
    }
}

/// Runs the transaction; where the pool is dry, once more with a key made in between, so that no
/// lock and no connection is held while it is made.
async fn with_a_key(
    state: &State,
    login: &Login<'_>,
    session: AuthSession,
    now: DateTime<Utc>,
) -> Result<Written, Error> {
    let mut dry = false;
    let mut opened = transact(state, login, session.clone(), None, now).await?;
    if opened.is_none() {
        dry = true;
        let made = state.signing.pool.make().await?;
        opened = transact(state, login, session, Some(made), now).await?;
    }
    let opened = opened.ok_or_else(|| Error::Internal("a key at hand was not used".to_owned()))?;
    if let Some(key) = &opened.key {
        state.signing.pool.count_taken(key, dry);
    }
    Ok(opened)
}

/// Why the transaction was rolled back.
enum Abort {
    PoolDry,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Abort {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// `None` where the pool is dry and no key is at hand; nothing was written then.
async fn transact(
    state: &State,
    login: &Login<'_>,
    session: AuthSession,
    made: Option<(TakenKey, String)>,
    now: DateTime<Utc>,
) -> Result<Option<Written>, Error> {
    let mut connection = state.pool.get().await?;
    let outcome = connection
        .transaction(async |connection| write(state, connection, login, session, made, now).await)
        .await;
    match outcome {
        Ok(opened) => Ok(Some(opened)),
        Err(Abort::PoolDry) => Ok(None),
        Err(Abort::Failed(error)) => Err(error),
    }
}

async fn write(
    state: &State,
    connection: &mut AsyncPgConnection,
    login: &Login<'_>,
    mut session: AuthSession,
    made: Option<(TakenKey, String)>,
    now: DateTime<Utc>,
) -> Result<Written, Abort> {
    let user = login.user_id;
    let mut keyset = user_keyset::lock(connection, user, now).await?;
    check_password_version(connection, login).await?;
    if use_device(state, connection, login, now).await?.trusted {
        session.expires_at = now + session_life(&state.settings.refresh, true);
        session.last_access_expires_at = state.signing.access_expiry(now, session.expires_at);
    }
    session.recent_rotations = rotation::find_recent_rotations(connection, login.device_id).await?;
    let which = login.which_ends();
    let reason = EndReason::Login.by(&login.caller);
    let ended = end_under_lock(connection, user, which, reason, &mut keyset, now).await?;
    let kept = i64::from(state.settings.limits.sessions_per_user) - 1;
    let (which, reason) = (Which::IdlestBeyond(kept), EndReason::TooManySessions.by(&login.caller));
    let crowded_out = end_under_lock(connection, user, which, reason, &mut keyset, now).await?;
    let key = if state.signing.uses_device_keys() {
        let key = take_key(state, connection, login, made, now).await?.ok_or(Abort::PoolDry)?;
        session.kid = Some(key.kid.clone());
        add_key(&mut keyset, &key, login.device_id);
        Some(key)
    } else {
        None
    };
    user_keyset::save(connection, user, &keyset, now).await?;
    auth_session::insert(connection, &session).await?;
    user::touch_login(connection, user, now).await?;
    let event = Event::by(Kind::LoginSucceeded, &login.caller).of(&session);
    audit::record(connection, &Event { details: json!({ "api": session.api }), ..event }).await?;
    Ok(Written { session, key, ended, crowded_out })
}

/// A password change ends sessions under the keyset's lock: one that was checked before the
/// change must not open a session after it.
async fn check_password_version(
    connection: &mut AsyncPgConnection,
    login: &Login<'_>,
) -> Result<(), Error> {
    let version = user::find_password_version(connection, login.user_id).await?;
    if version == Some(login.password_version) {
        Ok(())
    } else {
        Err(Error::InvalidCredentials("password_changed"))
    }
}

async fn take_key(
    state: &State,
    connection: &mut AsyncPgConnection,
    login: &Login<'_>,
    made: Option<(TakenKey, String)>,
    now: DateTime<Utc>,
) -> Result<Option<TakenKey>, Error> {
    let user = login.user_id;
    match made {
        Some((key, sealing_key_id)) => {
            published_key::insert_active(connection, &key, &sealing_key_id, user, now).await?;
            Ok(Some(key))
        }
        None => state.signing.pool.take(connection, user, now).await,
    }
}

fn add_key(keyset: &mut Keyset, key: &TakenKey, device_id: Uuid) {
    let former = keyset.set_device_key(DeviceJwk::new(
        &key.kid,
        device_id,
        &key.sealed_key,
        &key.public_jwk,
    ));
    debug_assert!(former.is_none(), "the device's sessions and keys were ended before");
}
