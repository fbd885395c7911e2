//! What providers answer, parsed: an answer that lacks what the protocol promises does not get in.

use chrono::{DateTime, TimeDelta, Utc};
use common::settings::Secret;
use serde_json::{Map, Value};

/// An access token whose life is not stated is counted to live this long (RFC 6749, section 5.1
/// leaves it open), in seconds.
const UNSTATED_LIFE: i64 = 3600;
/// Lives are cut here, in seconds: a hundred years.
const MAX_LIFE: i64 = 100 * 365 * 86_400;

/// A token endpoint's answer (RFC 6749, section 5.1).
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: Secret,
    /// When it came.
    pub obtained_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// The refresh or offline token, if one came.
    pub refresh_token: Option<Secret>,
    /// When that expires; none: no maximum, or unknown.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// The id token, if one came.
    pub id_token: Option<Secret>,
    /// Usually `Bearer`.
    pub token_type: String,
    /// Granted scope, space separated.
    pub scope: String,
}

/// An active token, by introspection (RFC 7662) or by its own claims.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// `sub`.
    pub subject: String,
    /// `azp` or `client_id`.
    pub client_id: String,
    /// `sid`, which service accounts have none of.
    pub session_state_id: Option<String>,
    /// `exp`.
    pub expires_at: DateTime<Utc>,
    /// `scope`.
    pub scope: String,
}

/// What a checked id token says, or the userinfo of a provider that has none.
#[derive(Clone, Debug)]
pub struct IdClaims {
    /// `sub`.
    pub subject: String,
    /// `sid`.
    pub session_state_id: Option<String>,
}

/// What a checked logout token says (OpenID Connect Back-Channel Logout 1.0, section 2.4).
#[derive(Clone, Debug)]
pub struct LogoutClaims {
    /// `iss`.
    pub issuer: String,
    /// `jti`.
    pub jti: String,
    /// `sub`.
    pub subject: Option<String>,
    /// `sid`.
    pub session_state_id: Option<String>,
    /// `exp`, or ten minutes from `iat` where it has none.
    pub expires_at: DateTime<Utc>,
    /// Whether the event asks that offline access ends too (Keycloak).
    pub revoke_offline_access: bool,
}

impl TokenAnswer {
    /// From a good answer; `asked` is the scope that was asked for, which is granted where the
    /// answer names none. None: no access token, or a life that is no number of seconds.
    pub(crate) fn parse(
        members: &Map<String, Value>,
        asked: &str,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let secret = |name| text(members, name).map(Secret::from);
        let life = seconds(members, "expires_in", UNSTATED_LIFE)?;
        // Keycloak says 0 where there is no maximum.
        let refresh_life =
            Some(seconds(members, "refresh_expires_in", 0)?).filter(|life| *life > 0);
        let after = |life: i64| now + TimeDelta::seconds(life.min(MAX_LIFE));
        Some(Self {
            access_token: secret("access_token")?,
            obtained_at: now,
            expires_at: after(life),
            refresh_token: secret("refresh_token"),
            refresh_expires_at: refresh_life.map(after),
            id_token: secret("id_token"),
            token_type: text(members, "token_type").unwrap_or_else(|| "Bearer".to_owned()),
            scope: text(members, "scope").unwrap_or_else(|| asked.to_owned()),
        })
    }
}

impl Introspection {
    /// From the members of an active token; none where it lacks subject, client or expiry.
    pub(super) fn parse(members: &Map<String, Value>) -> Option<Self> {
        Some(Self {
            subject: text(members, "sub")?,
            client_id: text(members, "azp").or_else(|| text(members, "client_id"))?,
            session_state_id: session_state_id(members),
            expires_at: time(members, "exp")?,
            scope: text(members, "scope").unwrap_or_default(),
        })
    }
}

/// A member that is text and not empty.
pub(super) fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The `sid`, which Keycloak before 25 called `session_state`.
pub(super) fn session_state_id(members: &Map<String, Value>) -> Option<String> {
    text(members, "sid").or_else(|| text(members, "session_state"))
}

/// A date in whole seconds.
pub(super) fn time(members: &Map<String, Value>, name: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(members.get(name)?.as_i64()?, 0)
}

/// Seconds that may be left out; none where there is something else.
fn seconds(members: &Map<String, Value>, name: &str, default: i64) -> Option<i64> {
    match members.get(name) {
        None | Some(Value::Null) => Some(default),
        Some(value) => value.as_i64().filter(|seconds| *seconds >= 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn parse(answer: &Value) -> Option<TokenAnswer> {
        TokenAnswer::parse(answer.as_object().unwrap(), "openid", now())
    }

    #[test]
    fn a_whole_answer_is_taken_as_it_is() {
        let answer = parse(&json!({
            "access_token": "a", "expires_in": 300, "refresh_token": "r",
            "refresh_expires_in": 1800, "token_type": "Bearer", "scope": "openid profile",
        }))
        .unwrap();
        assert_eq!(answer.expires_at, now() + TimeDelta::seconds(300));
        assert_eq!(answer.refresh_expires_at, Some(now() + TimeDelta::seconds(1800)));
        assert_eq!(
            (answer.scope.as_str(), answer.token_type.as_str()),
            ("openid profile", "Bearer")
        );
    }

    #[test]
    fn zero_is_no_maximum_for_a_refresh_token() {
        let answer = json!({ "access_token": "a", "expires_in": 300, "refresh_expires_in": 0 });
        assert_eq!(parse(&answer).unwrap().refresh_expires_at, None);
    }

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_wrong_is_refused() {
        let answer = parse(&json!({ "access_token": "a" })).unwrap();
        assert_eq!(answer.expires_at, now() + TimeDelta::seconds(UNSTATED_LIFE));
        assert_eq!(answer.scope, "openid");
        for wrong in [
            json!({}),
            json!({ "access_token": "" }),
            json!({ "access_token": 7 }),
            json!({ "access_token": "a", "expires_in": -1 }),
            json!({ "access_token": "a", "expires_in": "soon" }),
            json!({ "access_token": "a", "expires_in": 1.5 }),
        ] {
            assert!(parse(&wrong).is_none(), "{wrong}");
        }
        let huge = json!({ "access_token": "a", "expires_in": i64::MAX });
        assert!(parse(&huge).is_some());
    }
}
