//! Sensitive actions need a proof of the person that is minutes old, not merely a live session.
//!
//! [`RecentlyAuthenticated`] in a handler's signature is the guard, or [`Proven`] where there is a
//! body. A login, [`by_password`] and a passkey give such a proof; a refresh never does.

mod extractors;

use diesel_async::AsyncConnection as _;
use serde_json::json;

pub use extractors::{CurrentPassword, Proven, RecentlyAuthenticated, Sensitive, SignedIn};

use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::step_up;
use crate::models::user::User;
use crate::sessions::{self, Authenticated, Caller};
use crate::state::State;

/// Methods of a proof by password (RFC 8176).
const BY_PASSWORD: &[&str] = &["pwd"];

/// Checks the caller's password, within the limits of logins, and moves `auth_time` of their
/// session.
pub async fn by_password(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    password: &str,
) -> Result<(), Error> {
    let checked = sessions::check_current_password(state, caller, client, password).await;
    judged(state, caller, client, &checked);
    checked?;
    let event = by_password_event(caller, client);
    let mut connection = state.pool.get().await?;
    let now = state.clock.now();
    connection
        .transaction(async |connection| {
            caller.keep_live(connection, now).await?;
            step_up::record(connection, caller.session_id, BY_PASSWORD, now).await?;
            Ok(audit::record(connection, &event).await?)
        })
        .await
}

/// That the caller's password proved them again.
pub(crate) fn by_password_event(caller: &Authenticated, client: &Caller) -> Event {
    let event = caller.event(Kind::SteppedUp, client);
    Event { details: json!({ "reason": "password" }), ..event }
}

/// Counts what came of a password that was to prove the caller again, and writes down where it
/// did not. One that nobody judged, for a limit or a session that has ended, is none.
pub(crate) fn judged(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    checked: &Result<User, Error>,
) {
    match checked {
        Ok(_) => count(state, "password"),
        Err(Error::InvalidCredentials(reason)) => {
            count(state, "password_refused");
            let event = caller.event(Kind::StepUpRequired, client);
            state.audit.record(&Event { details: json!({ "reason": reason }), ..event });
        }
        Err(_) => {}
    }
}

/// Writes down that a proof was asked for, or one shown that proves nothing: once a minute for each
/// session and reason, however often its client asks.
pub(crate) fn record_refusal(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    reason: &'static str,
) {
    let event = caller.event(Kind::StepUpRequired, client);
    let event = Event { details: json!({ "reason": reason }), ..event };
    state.audit.record_once(&event, format!("{reason}/{}", caller.session_id).as_bytes());
}

pub(crate) fn count(state: &State, outcome: &str) {
    state.metrics.step_ups.with_label_values(&[outcome]).inc();
}
