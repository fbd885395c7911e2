//! What failed logins of a username cost the next one. They are counted over both APIs, whether or
//! not there is such a user, and only where a CAPTCHA can be asked for.

use common::http::ClientAddress;
use uuid::Uuid;

use super::{Action, Verdict};
use crate::error::Error;
use crate::limits::{Limit, LimitKey};
use crate::login::check_username_limit;
use crate::passwords::Username;
use crate::state::State;

/// Lets a login with a device go on, whose proof has held: nothing that is the device's is touched
/// before, its id is public. On devices that are not yet the user's it waits where a browser would
/// need a CAPTCHA; who fails for somebody does not keep them off those that are theirs.
pub async fn check_login(
    state: &State,
    username: &str,
    device: Uuid,
    known_device: bool,
) -> Result<(), Error> {
    if let (Some(name), false) = (key(username), known_device) {
        if let Some(wait) = failed_too_often(state, name).await? {
            return Err(Error::RateLimited(wait));
        }
        check_username_limit(state, username).await?;
    }
    state.limiter.check(Limit::DeviceLogin, device.into()).await
}

/// Lets a browser's login go on. Who solves a CAPTCHA is past the username's limit, so that nobody
/// is kept from signing in by others who guess, and under a higher one: CAPTCHAs can be bought.
pub async fn check_browser_login(
    state: &State,
    username: &str,
    token: Option<&str>,
    address: ClientAddress,
) -> Result<(), Error> {
    let Some(name) = key(username) else { return Ok(()) };
    let asked = failed_too_often(state, name).await?.is_some();
    if asked && state.captcha.check(token, Action::Login, address).await? == Verdict::Person {
        return state.limiter.check(Limit::SolvedLogin, name).await;
    }
    check_username_limit(state, username).await
}

/// Counts a login whose password was judged, and something in it wrong.
pub async fn count_failure(state: &State, username: &str) -> Result<(), Error> {
    if !state.captcha.is_on() {
        return Ok(());
    }
    let Some(name) = key(username) else { return Ok(()) };
    match state.limiter.check(Limit::LoginFailure, name).await {
        // It has failed too often already: that is what is to be known.
        Err(Error::RateLimited(_)) => Ok(()),
        counted => counted,
    }
}

async fn failed_too_often(
    state: &State,
    name: LimitKey,
) -> Result<Option<std::time::Duration>, Error> {
    if state.captcha.is_on() {
        state.limiter.wait(Limit::LoginFailure, name).await
    } else {
        Ok(None)
    }
}

/// Nobody has a name that does not parse.
fn key(username: &str) -> Option<LimitKey> {
    Username::parse(username).ok().map(|name| LimitKey::name(name.key()))
}
