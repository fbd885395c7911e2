//! The legacy profile: tokens that keys of an older layout signed, for a limited time. Signature,
//! issuer, expiry and revocation are judged as ever; what older tokens lack may be missing, but
//! not wrong.

use chrono::{DateTime, Utc};
use common::claims::{AccessClaims, Audience};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::claims::{audience, check_times, texts};
use crate::policy::{Legacy, Policy};
use crate::reason::Reason;

pub(crate) fn check(
    payload: &Map<String, Value>,
    legacy: &Legacy,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<AccessClaims, Reason> {
    if now >= legacy.until {
        return Err(Reason::TokenType);
    }
    let mut claims = read(payload).ok_or(Reason::Claims)?;
    if claims.iss != policy.issuer && legacy.issuer.as_ref() != Some(&claims.iss) {
        return Err(Reason::Issuer);
    }
    if payload.contains_key("aud") && !claims.aud.contains(&policy.audience) {
        return Err(Reason::Audience);
    }
    check_times(&claims, policy, now)?;
    // The profile's end is the token's, so that caches and live connections keep to it too.
    let end = legacy.until.timestamp().saturating_sub(policy.leeway.num_seconds());
    claims.exp = claims.exp.min(end);
    Ok(claims)
}

/// `None` where a claim that must be there is missing, or any is of the wrong form.
fn read(payload: &Map<String, Value>) -> Option<AccessClaims> {
    let text = |name: &str| {
        payload.get(name).map_or(Some(None), |value| Some(Some(value.as_str()?.to_owned())))
    };
    let id =
        |name: &str| text(name)?.map_or(Some(None), |id| Some(Some(Uuid::parse_str(&id).ok()?)));
    let date = |name: &str| {
        let whole = |value: &Value| value.as_i64().filter(|date| *date >= 0);
        payload.get(name).map_or(Some(None), |value| Some(Some(whole(value)?)))
    };
    let list = |value: &Value| value.as_array().and_then(|list| texts(list));
    let user_id = match (id("user_id")?, text("sub")?) {
        (Some(user), Some(subject)) if subject != user.to_string() => return None,
        (Some(user), _) => user,
        (None, subject) => Uuid::parse_str(&subject?).ok()?,
    };
    let iat = date("iat")?.unwrap_or_default();
    Some(AccessClaims {
        iss: text("iss")??,
        sub: user_id.to_string(),
        aud: payload.get("aud").map_or(Some(Audience::Many(Vec::new())), audience)?,
        exp: date("exp")??,
        iat,
        nbf: date("nbf")?.unwrap_or(iat),
        jti: text("jti")?.unwrap_or_default(),
        client_id: text("client_id")?.unwrap_or_default(),
        user_id,
        device_id: id("device_id")?.unwrap_or_default(),
        sid: id("sid")?.unwrap_or_default(),
        // Where it is not said it was long ago: `iat` moves with each refresh.
        auth_time: date("auth_time")?.unwrap_or_default(),
        amr: payload.get("amr").map_or(Some(Vec::new()), list)?,
        acr: text("acr")?,
        scope: text("scope")?.unwrap_or_default(),
    })
}
