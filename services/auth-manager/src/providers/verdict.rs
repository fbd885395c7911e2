//! What an answer of a provider means: one table, no I/O. Keycloak's words are those of 26.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Call, Fault};

/// Descriptions are cut here; none that helps is longer.
const MAX_DESCRIPTION: usize = 200;

/// An HTTP answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Refusals of a refresh token that are final, by what their description contains. RFC 6749,
/// section 5.2 makes any `invalid_grant` final; these only have a word of their own.
const DEAD: &[(&str, &str)] = &[
    ("maximum allowed refresh token reuse exceeded", "reuse_exceeded"),
    ("token is not active", "expired"),
    ("offline user session not found", "session_ended"),
    ("offline session not active", "session_ended"),
    ("client session not active", "session_ended"),
    ("session not active", "session_ended"),
    ("session doesn't have required client", "client_revoked"),
    ("stale token", "logged_out"),
    ("invalid refresh token", "invalid_token"),
    ("token client and authorized client don't match", "client_mismatch"),
    ("user disabled", "user_disabled"),
    ("offline access", "offline_not_allowed"),
    ("offline tokens not allowed", "offline_not_allowed"),
];
/// An `invalid_grant` that is our configuration's fault: the realm's own URL moved.
const WRONG_ISSUER: &str = "invalid token issuer";
/// Errors that our client causes, whatever it asks for; the last two are GitHub's.
const OUR_FAULT: [&str; 5] = [
    "unauthorized_client",
    "invalid_client",
    "unsupported_grant_type",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
];
const CONSENT_WITHDRAWN: &str = "no longer has requested consent";

/// The members of a good answer (none where the call needs none), or what went wrong. `pause` is
/// how long to leave alone a provider that does not say so itself.
pub(super) fn judge(
    call: Call,
    reply: &Reply,
    pause: Duration,
) -> Result<Map<String, Value>, Fault> {
    let retry_after = reply.retry_after.unwrap_or(pause);
    let members = serde_json::from_slice::<Map<String, Value>>(&reply.body).ok();
    match (call, reply.status) {
        // A 429 was turned away at the door, so nothing became of what it carried.
        (_, 429) => Err(Fault::Away { sent: false, retry_after }),
        (_, 500..) => Err(Fault::Away { sent: true, retry_after }),
        // Unknown and already revoked tokens answer 200 with an error in the body.
        (Call::Revocation | Call::EndSession, 200..=299) => Ok(Map::new()),
        (Call::EndSession, 404) if !names_realm(&reply.body) => Ok(Map::new()),
        (_, 200) => match members {
            Some(members) if call.asks_for_tokens() && members.contains_key("error") => {
                Err(refusal(call, 400, &members, retry_after))
            }
            Some(members) => Ok(members),
            None => Err(unusable(call, "its answer is not a JSON object", pause)),
        },
        (_, 300..=399) => Err(misconfigured(call, "it redirects")),
        (_, status @ 400..) => {
            Err(refusal(call, status, &members.unwrap_or_default(), retry_after))
        }
        (_, status) => Err(unusable(call, &format!("it answered {status}"), pause)),
    }
}

/// A success that can't be understood. For a refresh the outcome is unknown: the token may have
/// rotated, and saying less would lose a grant.
pub(super) fn unusable(call: Call, why: &str, pause: Duration) -> Fault {
    if call == Call::Refresh {
        return Fault::Away { sent: true, retry_after: pause };
    }
    misconfigured(call, why)
}

fn misconfigured(call: Call, why: &str) -> Fault {
    Fault::Misconfigured(format!("{}: {why}", call.as_str()))
}

fn refusal(call: Call, status: u16, members: &Map<String, Value>, retry_after: Duration) -> Fault {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(printable);
    let (error, description) = (text("error").unwrap_or_default(), text("error_description"));
    let said = description.as_deref().unwrap_or_default().to_lowercase();
    match (error.as_str(), call) {
        (code, _) if OUR_FAULT.contains(&code) => {
            misconfigured(call, &format!("{error} {}", description.unwrap_or_default()))
        }
        ("temporarily_unavailable" | "server_error" | "slow_down", _) => {
            Fault::Away { sent: true, retry_after }
        }
        ("invalid_grant", Call::Refresh) if said.contains(WRONG_ISSUER) => {
            misconfigured(call, &said)
        }
        ("invalid_grant" | "bad_refresh_token", Call::Refresh) => dead(word(&said), said),
        ("not_allowed", Call::Refresh) => dead("offline_not_allowed", said),
        ("invalid_scope", Call::Refresh) if said.contains(CONSENT_WITHDRAWN) => {
            dead("consent_withdrawn", said)
        }
        ("invalid_token", Call::Userinfo) => Fault::Refused { code: error, description },
        (_, Call::Userinfo | Call::EndSession) if status == 401 => {
            Fault::Refused { code: Call::UNAUTHORIZED.to_owned(), description }
        }
        ("", _) => misconfigured(call, &format!("it answered {status}")),
        _ if status == 400 => Fault::Refused { code: error, description },
        _ => misconfigured(call, &format!("it answered {status}, {error}")),
    }
}

fn dead(code: &'static str, description: String) -> Fault {
    Fault::GrantDead { code, description }
}

fn word(said: &str) -> &'static str {
    DEAD.iter().find(|(needle, _)| said.contains(needle)).map_or("invalid_grant", |(_, word)| word)
}

/// A realm that is not there answers 404 to everything; a session that is not there is what was
/// asked for.
fn names_realm(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_lowercase().contains("realm")
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_DESCRIPTION).collect()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
