use actix_web::post;
use actix_web::web;
use chrono::{DateTime, Utc};
use common::http::{Body, ErrorBody};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Tokens, check_text};
use crate::devices::{self, LoginProof, TIMESTAMP_WINDOW};
use crate::error::Error;
use crate::limits::Limit;
use crate::models::device::{self, Device};
use crate::models::user::{self, User, UserView};
use crate::models::{device_nonce, password_parameters};
use crate::passwords::{Admission, Password, Username};
use crate::sessions::{self, Caller, Login};
use crate::state::State;

/// A sign-in on a registered device.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LogIn {
    #[schema(example = "alice")]
    username: String,
    password: String,
    /// From `register-device`.
    device_id: String,
    /// Unix milliseconds, as a string, within 5 minutes of the server's clock.
    #[schema(example = "1767225600000")]
    timestamp: String,
    /// 16 to 64 of `[A-Za-z0-9_-]`, once per device.
    nonce: String,
    /// Hex HMAC-SHA-256(device key, `<device_id>:<timestamp>:<nonce>`).
    session_id: String,
    /// Hex HMAC-SHA-256(device key, `login:<username>:<timestamp>:<nonce>`).
    device_signature: String,
    /// What the device says of itself now.
    device_info: Option<String>,
}

/// The first tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// The server's own: the token's `sid`.
    session_id: Uuid,
    #[serde(flatten)]
    tokens: Tokens,
    user: UserView,
}

/// Log in on a device
///
/// Any wrong part gives the same answer in the same time.
#[utoipa::path(tag = "sessions", request_body = LogIn, responses(
    (status = 200, description = "A session, its first tokens, and the user", body = LoggedIn),
    (status = 400, description = "`invalid_request`: a field is missing or of the wrong type", body = ErrorBody),
    (status = 401, description = "`invalid_credentials`: any wrong part", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address", body = ErrorBody),
    (status = 503, description = "`busy`: the nonce is still good; or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/login")]
pub(crate) async fn log_in(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<LogIn>,
) -> Result<web::Json<LoggedIn>, Error> {
    let started = Instant::now();
    check_text("device_info", request.device_info.as_deref(), 1024)?;
    state.limiter.check(Limit::Login, caller.address.limit_key()).await?;
    match attempt(&state, &request, caller).await {
        Ok(logged_in) => {
            count(&state, "success", "");
            state.metrics.login_duration.observe(started.elapsed().as_secs_f64());
            Ok(web::Json(logged_in))
        }
        Err(Refused::Because(reason)) => {
            count(&state, "failure", reason);
            tracing::info!(reason, "login_failed");
            // One answer at one time, whatever was wrong and whatever it cost.
            sleep_until(started + state.hasher.floor()).await;
            Err(Error::InvalidCredentials)
        }
        Err(Refused::With(error)) => {
            count(&state, "refused", "");
            Err(error)
        }
    }
}

/// Why a login did not succeed.
enum Refused {
    /// Something in it is wrong; the label is for log and metric.
    Because(&'static str),
    /// It was not judged.
    With(Error),
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        match error.into() {
            // The device went or changed hands while the password was checked.
            Error::InvalidCredentials => Self::Because("device"),
            error => Self::With(error),
        }
    }
}

async fn attempt(state: &State, request: &LogIn, caller: Caller) -> Result<LoggedIn, Refused> {
    let device = find_device(state, &request.device_id).await?;
    let signed_at = check_proof(state, request, &device)?;
    let user = find_user(state, &request.username).await?;
    let known_device = user.is_some() && device.user_id == user.as_ref().map(|user| user.id);
    // A full queue leaves the nonce fresh.
    let admission = state.hasher.admit(known_device)?;
    burn_nonce(state, &device, &request.nonce, signed_at).await?;
    let user = check_password(state, admission, user, &request.password).await?;
    if device.user_id.is_some_and(|owner| owner != user.id) {
        return Err(Refused::Because("foreign_device"));
    }
    let device_info = request.device_info.as_deref();
    let login = Login { user_id: user.id, device_id: device.id, device_info, caller };
    let (session, tokens) = sessions::open(state, &login).await?;
    Ok(LoggedIn { session_id: session.id, tokens: tokens.into(), user: user.view() })
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

async fn find_user(state: &State, name: &str) -> Result<Option<User>, Refused> {
    let Ok(username) = Username::parse(name) else { return Ok(None) };
    let mut connection = state.pool.get().await?;
    Ok(user::find_by_username_key(&mut connection, username.key()).await?)
}

async fn burn_nonce(
    state: &State,
    device: &Device,
    nonce: &str,
    signed_at: DateTime<Utc>,
) -> Result<(), Refused> {
    let mut connection = state.pool.get().await?;
    let expires_at = signed_at + TIMESTAMP_WINDOW;
    if device_nonce::burn(&mut connection, device.id, nonce, expires_at).await? {
        Ok(())
    } else {
        Err(Refused::Because("replayed_nonce"))
    }
}

/// Costs one hash whether or not there is such a user.
async fn check_password(
    state: &State,
    admission: Admission,
    user: Option<User>,
    password: &str,
) -> Result<User, Refused> {
    let Some(password) = Password::for_login(password) else {
        return Err(Refused::Because("wrong_password"));
    };
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = state.hasher.verify(&admission, stored, password.clone()).await?;
    let user = user.ok_or(Refused::Because("unknown_user"))?;
    if !verdict.matches {
        return Err(Refused::Because("wrong_password"));
    }
    if verdict.outdated {
        rehash(state, &admission, &user, password).await?;
    }
    Ok(user)
}

/// Moves a hash to today's parameters, unless the password was changed meanwhile.
async fn rehash(
    state: &State,
    admission: &Admission,
    user: &User,
    password: Password,
) -> Result<(), Error> {
    let hash = state.hasher.hash(admission, password).await?;
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    password_parameters::remember(&mut connection, &state.hasher.parameters(), now).await?;
    user::replace_password_hash(&mut connection, user.id, &user.password_hash, &hash, now).await?;
    Ok(())
}

fn count(state: &State, outcome: &str, reason: &str) {
    state.metrics.logins.with_label_values(&[outcome, reason]).inc();
}
