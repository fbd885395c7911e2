//! The claims layer, in checked integers: josekit's panics on dates near 2^63 and lets missing
//! claims pass.

use chrono::{DateTime, Utc};
use common::claims::{AccessClaims, Audience};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::policy::Policy;
use crate::reason::Reason;

pub(crate) fn check(
    payload: &Map<String, Value>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<AccessClaims, Reason> {
    let claims = read(payload).ok_or(Reason::Claims)?;
    if claims.iss != policy.issuer {
        return Err(Reason::Issuer);
    }
    if !claims.aud.contains(&policy.audience) {
        return Err(Reason::Audience);
    }
    if claims.sub != claims.user_id.to_string() {
        return Err(Reason::Claims);
    }
    check_times(&claims, policy, now)?;
    Ok(claims)
}

/// Also of a token that was accepted before: time goes on, and clocks are set back.
pub(crate) fn check_times(
    claims: &AccessClaims,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<(), Reason> {
    let (now, leeway) = (now.timestamp(), policy.leeway.num_seconds());
    if now >= claims.exp.saturating_add(leeway) {
        return Err(Reason::Expired);
    }
    let begins = claims.nbf.max(claims.iat);
    if begins > now.saturating_add(leeway) {
        return Err(Reason::NotYetValid);
    }
    Ok(())
}

/// Every claim that an access token must have (RFC 9068, section 2.2, and our own).
fn read(payload: &Map<String, Value>) -> Option<AccessClaims> {
    let text = |name: &str| payload.get(name)?.as_str().map(str::to_owned);
    let id = |name: &str| Uuid::parse_str(payload.get(name)?.as_str()?).ok();
    // `as_i64` takes integers only: no fractions, no strings, nothing beyond 64 bits.
    let date = |name: &str| payload.get(name)?.as_i64().filter(|date| *date >= 0);
    let acr = match payload.get("acr") {
        Some(value) => Some(value.as_str()?.to_owned()),
        None => None,
    };
    Some(AccessClaims {
        iss: text("iss")?,
        sub: text("sub")?,
        aud: audience(payload.get("aud")?)?,
        exp: date("exp")?,
        iat: date("iat")?,
        nbf: date("nbf")?,
        jti: text("jti").filter(|jti| !jti.is_empty())?,
        client_id: text("client_id")?,
        user_id: id("user_id")?,
        device_id: id("device_id")?,
        sid: id("sid")?,
        auth_time: date("auth_time")?,
        amr: payload.get("amr")?.as_array().and_then(|list| texts(list))?,
        acr,
        scope: text("scope")?,
    })
}

pub(crate) fn audience(value: &Value) -> Option<Audience> {
    match value {
        Value::String(one) => Some(Audience::One(one.clone())),
        Value::Array(many) => texts(many).map(Audience::Many),
        _ => None,
    }
}

pub(crate) fn texts(values: &[Value]) -> Option<Vec<String>> {
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}
