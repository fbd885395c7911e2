//! The cookie API, one endpoint a file. Every handler names a guard of [`crate::browser::guard`].

pub(crate) mod change_password;
pub(crate) mod list_devices;
pub(crate) mod list_sessions;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod log_out_everywhere;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod remove_device;
pub(crate) mod remove_session;
pub(crate) mod remove_sessions;
pub(crate) mod show_csrf;
pub(crate) mod update_device;
pub(crate) mod verify_token;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponseBuilder};
use uuid::Uuid;

use crate::browser::cookies::Kind;
use crate::browser::generation::Generation;
use crate::browser::plain_token;
use crate::browser::received::ReceivedCookies;
use crate::error::Error;
use crate::sessions::{KnownBrowser, TokenPair};
use crate::state::State;

/// The browser that a request comes from, where it shows that somebody signed in with it before.
fn known_browser(state: &State, cookies: &ReceivedCookies) -> Option<KnownBrowser> {
    let mut shown =
        Generation::ALL.into_iter().filter_map(|of| cookies.single_of(of, Kind::Browser));
    shown.find_map(|text| KnownBrowser::parse(&state.mac_keys, text))
}

/// A CSRF token of `subject`, a session or what stands for one. Of the older ones `kept` is one that
/// the browser has already: other tabs of it go on.
fn issue_csrf(
    state: &State,
    generation: Generation,
    subject: Uuid,
    user_agent: Option<&str>,
    kept: Option<&str>,
) -> String {
    match generation {
        Generation::V4 => kept
            .filter(|token| plain_token::is_well_formed(token))
            .map_or_else(plain_token::issue, str::to_owned),
        Generation::V5 => state.browser.csrf.issue(subject, user_agent, state.clock.now()),
    }
}

/// Sets the cookies of a session, in one generation.
fn set_cookies(
    state: &State,
    answer: &mut HttpResponseBuilder,
    generation: Generation,
    tokens: &TokenPair,
    csrf: &str,
) {
    let (policy, seconds) = (&state.browser.cookies, |count: i64| {
        Duration::from_secs(u64::try_from(count).unwrap_or_default())
    });
    let (access_life, life) = (seconds(tokens.expires_in), seconds(tokens.refresh_expires_in));
    answer
        .append_header(policy.set(generation, Kind::Access, &tokens.access_token, access_life))
        .append_header(policy.set(generation, Kind::Refresh, &tokens.refresh_token, life))
        .append_header(policy.set(generation, Kind::Csrf, csrf, life));
}

/// Takes away what came of the generation that the browser is not to have.
fn clear_other(
    state: &State,
    answer: &mut HttpResponseBuilder,
    generation: Generation,
    came: &ReceivedCookies,
) {
    let other = generation.other();
    for kind in Kind::ALL.into_iter().filter(|kind| came.has(other, *kind)) {
        answer.append_header(state.browser.cookies.clear(other, kind));
    }
}

fn remember_browser(
    state: &State,
    answer: &mut HttpResponseBuilder,
    generation: Generation,
    browser: KnownBrowser,
) -> Result<(), Error> {
    let shown = browser.render(&state.mac_keys);
    let shown =
        shown.ok_or_else(|| Error::Internal("the writing MAC key is missing".to_owned()))?;
    let (kind, life) = (Kind::Browser, KnownBrowser::KNOWN_FOR);
    answer.append_header(state.browser.cookies.set(generation, kind, &shown, life));
    Ok(())
}

/// Takes away everything of the session's, and leaves what makes the browser a known one.
fn clear_cookies(state: &State, request: &HttpRequest, answer: &mut HttpResponseBuilder) {
    for cookie in state.browser.cookies.clear_session(request.path()) {
        answer.append_header(cookie);
    }
}
