//! The cookie API, one endpoint a file. Every handler names a guard of [`crate::browser::guard`].

pub(crate) mod list_sessions;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod log_out_everywhere;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod remove_session;
pub(crate) mod remove_sessions;
pub(crate) mod show_csrf;
pub(crate) mod verify_token;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponseBuilder};
use uuid::Uuid;

use crate::browser::cookies::Kind;
use crate::error::Error;
use crate::sessions::{Caller, KnownBrowser, TokenPair};
use crate::state::State;

/// The browser that a request comes from, where it shows that somebody signed in with it before.
fn known_browser(state: &State, request: &HttpRequest) -> Option<KnownBrowser> {
    let cookies = state.browser.cookies.read(request.headers());
    KnownBrowser::parse(&state.mac_keys, cookies.single(Kind::Browser)?)
}

/// Sets the cookies of `session` and answers its CSRF token, which pages send in a header.
fn set_cookies(
    state: &State,
    answer: &mut HttpResponseBuilder,
    session: Uuid,
    tokens: &TokenPair,
    caller: &Caller,
) -> String {
    let (policy, seconds) = (&state.browser.cookies, |count: i64| {
        Duration::from_secs(u64::try_from(count).unwrap_or_default())
    });
    let (access_life, life) = (seconds(tokens.expires_in), seconds(tokens.refresh_expires_in));
    let csrf = state.browser.csrf.issue(session, caller.user_agent.as_deref(), state.clock.now());
    answer
        .append_header(policy.set(Kind::Access, &tokens.access_token, access_life))
        .append_header(policy.set(Kind::Refresh, &tokens.refresh_token, life))
        .append_header(policy.set(Kind::Csrf, &csrf, life));
    csrf
}

fn remember_browser(
    state: &State,
    answer: &mut HttpResponseBuilder,
    browser: KnownBrowser,
) -> Result<(), Error> {
    let shown = browser.render(&state.mac_keys);
    let shown =
        shown.ok_or_else(|| Error::Internal("the writing MAC key is missing".to_owned()))?;
    answer.append_header(state.browser.cookies.set(Kind::Browser, &shown, KnownBrowser::KNOWN_FOR));
    Ok(())
}

/// Takes away everything of the session's, and leaves what makes the browser a known one.
fn clear_cookies(state: &State, request: &HttpRequest, answer: &mut HttpResponseBuilder) {
    for cookie in state.browser.cookies.clear_session(request.path()) {
        answer.append_header(cookie);
    }
}
