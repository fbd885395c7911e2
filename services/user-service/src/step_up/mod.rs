//! Sensitive actions need a proof of the person that is minutes old, not merely a live session.
//!
//! [`RecentlyAuthenticated`] in a handler's signature is the guard. A login, [`by_password`] and a
//! passkey give such a proof; a refresh never does.

mod extractors;

use common::http::ClientAddress;

pub use extractors::{RecentlyAuthenticated, SignedIn};

use crate::error::Error;
use crate::models::step_up;
use crate::sessions::{self, Authenticated};
use crate::state::State;

/// Methods of a proof by password (RFC 8176).
const BY_PASSWORD: &[&str] = &["pwd"];

/// Checks the caller's password, within the limits of logins, and moves `auth_time` of their
/// session.
pub async fn by_password(
    state: &State,
    caller: &Authenticated,
    address: ClientAddress,
    password: &str,
) -> Result<(), Error> {
    let checked = sessions::check_current_password(state, caller, address, password).await;
    count(state, if checked.is_ok() { "password" } else { "password_refused" });
    checked?;
    let mut connection = state.pool.get().await?;
    let now = state.clock.now();
    if step_up::record(&mut connection, caller.session_id, BY_PASSWORD, now).await? {
        Ok(())
    } else {
        Err(Error::Unauthorized { token_sent: true })
    }
}

pub(crate) fn count(state: &State, outcome: &str) {
    state.metrics.step_ups.with_label_values(&[outcome]).inc();
}
