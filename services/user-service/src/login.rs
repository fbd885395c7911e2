//! What logins through either API have in common: one answer for every wrong part, at one time.

use serde_json::json;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::audit::{Event, Kind};
use crate::captcha;
use crate::error::Error;
use crate::limits::{Limit, LimitKey};
use crate::models::password_parameters;
use crate::models::user::{self, User};
use crate::passwords::{Admission, Password, Username};
use crate::sessions::{ApiKind, Caller};
use crate::state::State;

/// A login, as far as it is known before anything of it is believed.
pub(crate) struct Claim<'a> {
    /// Whom it names.
    pub(crate) username: &'a str,
    /// Who sends it.
    pub(crate) caller: Caller,
    /// On which device.
    pub(crate) device: Option<Uuid>,
    /// Through which API.
    pub(crate) api: ApiKind,
}

impl Claim<'_> {
    /// Written off the path: an answer to a failure comes no later for it.
    fn record_failure(&self, state: &State, reason: &'static str) {
        let details = json!({ "reason": reason, "api": self.api.as_str() });
        let event = Event::by(Kind::LoginFailed, &self.caller);
        let event = Event { device: self.device, details, ..event };
        match Username::parse(self.username) {
            Ok(name) => state.audit.record_of(&event, name.key().to_owned()),
            Err(_) => state.audit.record(&event),
        }
    }
}

/// Runs the `attempt` that `claim` announces, counts what comes of it, and answers failures no
/// earlier than the floor.
pub(crate) async fn judge<T>(
    state: &State,
    claim: &Claim<'_>,
    attempt: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Error> {
    let started = Instant::now();
    match state.in_time(attempt).await {
        Ok(logged_in) => {
            count(state, "success", "");
            state.metrics.login_duration.observe(started.elapsed().as_secs_f64());
            Ok(logged_in)
        }
        Err(Refused::Because(reason)) => {
            count(state, "failure", reason);
            let address_range = claim.caller.address.range();
            tracing::info!(reason, address_range, "login_failed");
            claim.record_failure(state, reason);
            if judged_the_password(reason) {
                captcha::count_failure(state, claim.username).await?;
            }
            // One answer at one time, whatever was wrong and whatever it cost.
            sleep_until(started + state.hasher.floor()).await;
            Err(Error::InvalidCredentials(reason))
        }
        Err(Refused::With(error)) => {
            count(state, "refused", refusal(&error));
            Err(error)
        }
    }
}

/// Why a login did not succeed.
pub(crate) enum Refused {
    /// Something in it is wrong; the label is for log and metric.
    Because(&'static str),
    /// It was not judged.
    With(Error),
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        match error.into() {
            // Device or password changed while the password was checked.
            Error::InvalidCredentials(reason) => Self::Because(reason),
            error => Self::With(error),
        }
    }
}

/// Whatever fails before costs nobody a guess.
fn judged_the_password(reason: &str) -> bool {
    matches!(reason, "wrong_password" | "unknown_user" | "foreign_device" | "password_changed")
}

/// Why a login was not judged, as a bounded label.
fn refusal(error: &Error) -> &'static str {
    match error {
        Error::RateLimited(_) => "rate_limited",
        Error::Busy(_) => "busy",
        Error::CaptchaRequired(_) | Error::CaptchaInvalid | Error::CaptchaUnavailable => "captcha",
        Error::Database(_) | Error::Pool(_) | Error::DatabaseSilent => "database",
        _ => "internal",
    }
}

/// Whom a login names, if there is such a user.
pub(crate) async fn find_user(state: &State, name: &str) -> Result<Option<User>, Refused> {
    let Ok(username) = Username::parse(name) else { return Ok(None) };
    let mut connection = state.pool.get().await?;
    Ok(user::find_by_username_key(&mut connection, username.key()).await?)
}

/// Costs one hash whether or not there is such a user; says also whether the hash is outdated.
pub(crate) async fn check_password(
    state: &State,
    admission: Admission,
    user: Option<User>,
    password: &str,
) -> Result<(User, bool), Refused> {
    let Some(password) = Password::for_login(password) else {
        return Err(Refused::Because("wrong_password"));
    };
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = state.hasher.verify(&admission, stored, password).await?;
    let user = user.ok_or(Refused::Because("unknown_user"))?;
    if verdict.matches {
        Ok((user, verdict.outdated))
    } else {
        Err(Refused::Because("wrong_password"))
    }
}

/// Counts a login by its username, whether or not there is such a user.
pub(crate) async fn check_username_limit(state: &State, name: &str) -> Result<(), Error> {
    let Ok(username) = Username::parse(name) else { return Ok(()) };
    state.limiter.check(Limit::Username, LimitKey::name(username.key())).await
}

/// Moves a hash to today's parameters. It takes a place of its own in the queue, since the floor
/// under failures counts on one hash a place; where there is none, the next login does it.
pub(crate) fn renew_hash(state: &State, user: &User, password: &str) {
    let Some(password) = Password::for_login(password) else { return };
    let (state, user) = (state.clone(), user.clone());
    tokio::spawn(async move {
        if let Err(error) = try_renew_hash(&state, &user, password).await {
            tracing::info!(%error, "password_hash_not_renewed");
        }
    });
}

async fn try_renew_hash(state: &State, user: &User, password: Password) -> Result<(), Error> {
    let admission = state.hasher.admit(false)?;
    let hash = state.hasher.hash(&admission, password).await?;
    drop(admission);
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    password_parameters::remember(&mut connection, &state.hasher.parameters(), now).await?;
    user::renew_password_hash(&mut connection, user.id, &user.password_hash, &hash, now).await?;
    Ok(())
}

fn count(state: &State, outcome: &str, reason: &str) {
    state.metrics.logins.with_label_values(&[outcome, reason]).inc();
}
