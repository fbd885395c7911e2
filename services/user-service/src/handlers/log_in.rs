use actix_web::post;
use actix_web::web;
use chrono::{DateTime, Utc};
use common::http::{Body, ErrorBody};
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Tokens, check_text};
use crate::captcha;
use crate::devices::{self, LoginProof, TIMESTAMP_WINDOW};
use crate::error::Error;
use crate::limits::Limit;
use crate::login::{Claim, Refused, check_password, find_user, judge, renew_hash};
use crate::models::auth_session::AuthSession;
use crate::models::device::{self, Device};
use crate::models::device_nonce;
use crate::models::user::UserView;
use crate::sessions::{self, ApiKind, Caller, Login, Opened};
use crate::state::State;

/// A sign-in on a registered device.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LogIn {
    #[schema(example = "alice")]
    username: String,
    #[schema(example = "correct horse battery")]
    password: String,
    /// From `register-device`.
    #[schema(example = "8c2f0a5e-6a0d-4a52-9d0e-0f6c1d2b3a49")]
    device_id: String,
    /// Unix milliseconds, as a string, within 5 minutes of the server's clock.
    #[schema(example = "1767225600000")]
    timestamp: String,
    /// 16 to 64 of `[A-Za-z0-9_-]`, once per device.
    #[schema(example = "1f8b6d7c2e904a53")]
    nonce: String,
    /// Hex HMAC-SHA-256(device key, `<device_id>:<timestamp>:<nonce>`).
    #[schema(example = "c07d1e5b94a2f6838d40b1c9e7352fa6d81b0c4e9f7a23561be8d0943c5af712")]
    session_id: String,
    /// Hex HMAC-SHA-256(device key, `login:<username>:<timestamp>:<nonce>`).
    #[schema(example = "9f2c41d0a7b35e68c1f04d92b7a86e3350c9d1f2a4b6875e93c0d1e2f3a4b5c6")]
    device_signature: String,
    /// What the device says of itself now.
    #[schema(example = "Pixel 9, Android 16")]
    device_info: Option<String>,
    /// Taken and ignored: the server knows.
    #[expect(dead_code, reason = "its form is checked, its value is not used")]
    #[schema(example = "192.0.2.7")]
    ip_address: Option<String>,
}

/// The first tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// The server's own: the token's `sid`.
    session_id: Uuid,
    #[serde(flatten)]
    tokens: Tokens,
    user: UserView,
    /// Sessions that ended because one may have no more of them, the longest idle first; none as
    /// a rule.
    ended_sessions: Vec<EndedSession>,
}

/// A session that had to make room.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSession {
    session_id: Uuid,
    device_id: Uuid,
    #[schema(example = "ExampleApp/2.1 (Android 16)")]
    user_agent: Option<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    last_seen_at: DateTime<Utc>,
}

impl EndedSession {
    pub(crate) fn list(mut ended: Vec<AuthSession>) -> Vec<Self> {
        ended.sort_by_key(|session| session.last_seen_at);
        ended.into_iter().map(Self::from).collect()
    }
}

impl From<AuthSession> for EndedSession {
    fn from(session: AuthSession) -> Self {
        Self {
            session_id: session.id,
            device_id: session.device_id,
            user_agent: session.user_agent,
            last_seen_at: session.last_seen_at,
        }
    }
}

/// Log in on a device
///
/// Any wrong part gives the same answer in the same time.
#[utoipa::path(tag = "sessions", request_body = LogIn, responses(
    (status = 200, description = "A session, its first tokens, and the user", body = LoggedIn),
    (status = 400, description = "`invalid_request`: a field is missing or of the wrong type", body = ErrorBody),
    (status = 401, description = "`invalid_credentials`: any wrong part", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address, username and device, or after failed logins of the username: the nonce is still good", body = ErrorBody),
    (status = 503, description = "`busy`: the nonce is still good; `database_unavailable`, `signer_unavailable`: it may be burned", body = ErrorBody),
))]
#[post("/api/auth/login")]
pub(crate) async fn log_in(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<LogIn>,
) -> Result<web::Json<LoggedIn>, Error> {
    check_text("device_info", request.device_info.as_deref(), 1024)?;
    let claim = Claim {
        username: &request.username,
        caller: caller.clone(),
        device: request.device_id.parse().ok(),
        api: ApiKind::Bearer,
    };
    judge(&state, &claim, Box::pin(attempt(&state, &request, caller))).await.map(web::Json)
}

async fn attempt(state: &State, request: &LogIn, caller: Caller) -> Result<LoggedIn, Refused> {
    state.limiter.check(Limit::Login, caller.address.limit_key().into()).await?;
    let device = find_device(state, &request.device_id).await?;
    let signed_at = check_proof(state, request, &device)?;
    let user = find_user(state, &request.username).await?;
    let known_device = user.is_some() && device.user_id == user.as_ref().map(|user| user.id);
    // Limits and a full queue leave the nonce fresh.
    captcha::check_login(state, &request.username, device.id, known_device).await?;
    let admission = state.hasher.admit(known_device)?;
    burn_nonce(state, &device, &request.nonce, signed_at).await?;
    let (user, outdated) = check_password(state, admission, user, &request.password).await?;
    if device.user_id.is_some_and(|owner| owner != user.id) {
        return Err(Refused::Because("foreign_device"));
    }
    let device_info = request.device_info.as_deref();
    let (user_id, password_version) = (user.id, user.password_version);
    let login = Login {
        user_id,
        password_version,
        device_id: device.id,
        device_info,
        caller,
        api: ApiKind::Bearer,
        replaces: None,
    };
    let opened = open(state, &login, &request.nonce).await?;
    if outdated {
        renew_hash(state, &user, &request.password);
    }
    Ok(LoggedIn {
        session_id: opened.session.id,
        tokens: opened.tokens.into(),
        user: user.view(),
        ended_sessions: EndedSession::list(opened.crowded_out),
    })
}

async fn find_device(state: &State, id: &str) -> Result<Device, Refused> {
    let id: Uuid = id.parse().map_err(|_| Refused::Because("unknown_device"))?;
    let mut connection = state.pool.get().await?;
    let device = device::find(&mut connection, id).await?;
    device.ok_or(Refused::Because("unknown_device"))
}

fn check_proof(state: &State, request: &LogIn, device: &Device) -> Result<DateTime<Utc>, Refused> {
    let key = devices::open_key(&state.keyring, device)?;
    let proof = LoginProof {
        username: &request.username,
        device_id: &request.device_id,
        timestamp: &request.timestamp,
        nonce: &request.nonce,
        session_id: &request.session_id,
        device_signature: &request.device_signature,
    };
    devices::check_login_proof(&key, &proof, state.clock.now())
        .map_err(|fault| Refused::Because(fault.as_str()))
}

async fn burn_nonce(
    state: &State,
    device: &Device,
    nonce: &str,
    signed_at: DateTime<Utc>,
) -> Result<(), Refused> {
    let mut connection = state.pool.get().await?;
    let expires_at = signed_at + TIMESTAMP_WINDOW;
    match device_nonce::burn(&mut connection, device.id, nonce, expires_at).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refused::Because("replayed_nonce")),
        // The device was removed since it was looked up.
        Err(DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
            Err(Refused::Because("unknown_device"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the session; where there is no room for it now, the nonce is good for another try.
async fn open(state: &State, login: &Login<'_>, nonce: &str) -> Result<Opened, Error> {
    let opened = sessions::open(state, login).await;
    if matches!(opened, Err(Error::Busy(_))) {
        let mut connection = state.pool.get().await?;
        device_nonce::give_back(&mut connection, login.device_id, nonce).await?;
    }
    opened
}
