//! The check of CSRF tokens, counted and timed.

use actix_web::http::header::HeaderName;
use actix_web::{FromRequest as _, HttpRequest};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::cookies::Kind;
use super::generation::Generation;
use super::received::ReceivedCookies;
use super::{origin, plain_token};
use crate::audit::{self, Event};
use crate::error::Error;
use crate::handlers::user_agent;
use crate::rollout::Sign;
use crate::sessions::Caller;
use crate::state::State;

const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// [`check_csrf`] for what shows a session. The request came from a page that may ask, so that its
/// failure says something of the cookies.
pub(super) fn check_session_csrf(
    state: &State,
    request: &HttpRequest,
    cookies: &ReceivedCookies,
    session: Uuid,
) -> Result<(), Error> {
    let checked = check_csrf(state, request, cookies, Some(session));
    let sign = if checked.is_ok() { Sign::Well } else { Sign::CsrfRefused };
    state.rollout.note(cookies.generation(), session, sign);
    checked
}

/// Refuses what may change something without the token of `subject`, in header and cookie alike.
pub(super) fn check_csrf(
    state: &State,
    request: &HttpRequest,
    cookies: &ReceivedCookies,
    subject: Option<Uuid>,
) -> Result<(), Error> {
    if origin::is_safe(request.method()) {
        return Ok(());
    }
    let timer = state.metrics.csrf_duration.start_timer();
    let checked = judge_csrf(state, request, cookies, subject);
    drop(timer);
    checked.map_err(|reason| refuse(state, request, reason))?;
    state.metrics.csrf.with_label_values(&["valid"]).inc();
    Ok(())
}

fn judge_csrf(
    state: &State,
    request: &HttpRequest,
    cookies: &ReceivedCookies,
    subject: Option<Uuid>,
) -> Result<(), &'static str> {
    let mut headers = request.headers().get_all(X_CSRF_TOKEN);
    let header = headers.next().ok_or("token_missing")?;
    if headers.next().is_some() {
        return Err("token_twice");
    }
    let header = header.to_str().map_err(|_| "token_wrong")?;
    let cookie = cookies.single(Kind::Csrf).ok_or("cookie_missing")?;
    if !bool::from(header.as_bytes().ct_eq(cookie.as_bytes())) {
        return Err("cookie_differs");
    }
    if cookies.generation() == Generation::V4 {
        return plain_token::is_well_formed(header).then_some(()).ok_or("token_wrong");
    }
    let agent = user_agent(request.headers());
    let subject = subject.ok_or("no_session")?;
    let good = state.browser.csrf.verify(header, subject, agent.as_deref(), state.clock.now());
    good.then_some(()).ok_or("token_wrong")
}

/// Counts and writes down why a request is refused.
pub(super) fn refuse(state: &State, request: &HttpRequest, reason: &'static str) -> Error {
    state.metrics.csrf.with_label_values(&["invalid"]).inc();
    tracing::warn!(reason, "csrf_rejected");
    // One a minute is enough of what anybody can send.
    if let Ok(caller) = Caller::extract(request).into_inner() {
        let of_whom = format!("{reason}/{}", caller.address.limit_key());
        let event = Event::by(audit::Kind::CsrfRejected, &caller);
        let event = Event { details: json!({ "reason": reason }), ..event };
        state.audit.record_once(&event, of_whom.as_bytes());
    }
    Error::CsrfInvalid(reason)
}
