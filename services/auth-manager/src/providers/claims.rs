//! What the claims of tokens must say once their signature holds; checked integers, no I/O.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::answer::{IdClaims, Introspection, LogoutClaims, session_state_id, text, time};

/// Clocks may differ by this, in seconds.
const LEEWAY: i64 = 60;
/// A logout token without `exp` is counted to expire so long after `iat`.
const LOGOUT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// OpenID Connect Back-Channel Logout 1.0, section 2.4.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const REVOKE_OFFLINE_ACCESS: &str = "revoke_offline_access";

/// What every check needs.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// The header's `typ`.
    pub(super) header_type: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// Why a token does not do.
type Wrong = &'static str;

/// Checks an access token (RFC 9068, section 4, and what Keycloak makes of it): an id or logout
/// token of the same issuer is none.
pub(super) fn check_access(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
) -> Result<Introspection, Wrong> {
    check_issuer_and_times(claims, expected)?;
    let named = text(claims, "typ");
    let is_access = match named.as_deref() {
        Some(named) => named == "Bearer",
        None => is_type(expected.header_type, "at+jwt") || looks_like_access(claims),
    };
    if !is_access {
        return Err("not an access token");
    }
    Introspection::parse(claims).ok_or("sub, azp or exp missing")
}

/// Checks an id token (OpenID Connect Core 1.0, section 3.1.3.7).
pub(super) fn check_id(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
    client_id: &str,
    nonce: &str,
) -> Result<IdClaims, Wrong> {
    check_issuer_and_times(claims, expected)?;
    if text(claims, "typ").is_some_and(|named| named != "ID") {
        return Err("not an id token");
    }
    if !audience(claims).any(|audience| audience == client_id) {
        return Err("for another audience");
    }
    if text(claims, "azp").is_some_and(|party| party != client_id) {
        return Err("for another client");
    }
    if text(claims, "nonce").is_none_or(|given| given != nonce) {
        return Err("another nonce");
    }
    let subject = text(claims, "sub").ok_or("sub missing")?;
    Ok(IdClaims { subject, session_state_id: session_state_id(claims) })
}

/// Checks a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6) for one of
/// `client_ids`; whether its `jti` was seen before is the caller's to know.
pub(super) fn check_logout<'a>(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
    mut client_ids: impl Iterator<Item = &'a str>,
) -> Result<LogoutClaims, Wrong> {
    let header = expected.header_type;
    if !header.is_empty() && !is_type(header, "logout+jwt") && !is_type(header, "jwt") {
        return Err("not a logout token");
    }
    let issued_at = time(claims, "iat").ok_or("iat missing")?;
    let expires_at = match claims.get("exp") {
        Some(_) => time(claims, "exp").ok_or("exp malformed")?,
        None => issued_at + LOGOUT_LIFE,
    };
    check_issuer(claims, expected)?;
    check_times(issued_at, expires_at, expected.now)?;
    if !client_ids.any(|id| audience(claims).any(|audience| audience == id)) {
        return Err("for another audience");
    }
    let events = claims.get("events").and_then(Value::as_object).ok_or("events missing")?;
    let event = events.get(LOGOUT_EVENT).and_then(Value::as_object).ok_or("another event")?;
    if claims.contains_key("nonce") {
        return Err("has a nonce");
    }
    let asked = |members: &Map<String, Value>| {
        members.get(REVOKE_OFFLINE_ACCESS).and_then(Value::as_bool).unwrap_or_default()
    };
    let logout = LogoutClaims {
        issuer: expected.issuer.to_owned(),
        jti: text(claims, "jti").ok_or("jti missing")?,
        subject: text(claims, "sub"),
        session_state_id: session_state_id(claims),
        expires_at,
        revoke_offline_access: asked(events) || asked(event),
    };
    if logout.subject.is_none() && logout.session_state_id.is_none() {
        return Err("neither sub nor sid");
    }
    Ok(logout)
}

fn check_issuer(claims: &Map<String, Value>, expected: Expected<'_>) -> Result<(), Wrong> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    if issuer == Some(expected.issuer) { Ok(()) } else { Err("another issuer's") }
}

fn check_issuer_and_times(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
) -> Result<(), Wrong> {
    check_issuer(claims, expected)?;
    let expires_at = time(claims, "exp").ok_or("exp missing")?;
    for name in ["iat", "nbf"] {
        if claims.contains_key(name) {
            let at = time(claims, name).ok_or("a date is malformed")?;
            check_times(at, expires_at, expected.now)?;
        }
    }
    check_times(DateTime::UNIX_EPOCH, expires_at, expected.now)
}

fn check_times(
    begins: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), Wrong> {
    let now = now.timestamp();
    if now >= expires_at.timestamp().saturating_add(LEEWAY) {
        return Err("expired");
    }
    if begins.timestamp() > now.saturating_add(LEEWAY) {
        return Err("not yet valid");
    }
    Ok(())
}

/// `aud` is a string or an array of them (RFC 7519, section 4.1.3).
fn audience(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.get("aud") {
        Some(Value::Array(many)) => (None, many.as_slice()),
        Some(value) => (value.as_str(), [].as_slice()),
        None => (None, [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

/// Issuers that name no type: id tokens have no scope, and what binds them to a sign-in.
fn looks_like_access(claims: &Map<String, Value>) -> bool {
    let has = |name: &str| claims.contains_key(name);
    has("scope") && !has("nonce") && !has("at_hash") && !has("events")
}

/// A media type, in any case, with or without `application/` (RFC 7515, section 4.1.9).
fn is_type(given: &str, expected: &str) -> bool {
    let given = given.to_ascii_lowercase();
    given.strip_prefix("application/").unwrap_or(&given) == expected
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
