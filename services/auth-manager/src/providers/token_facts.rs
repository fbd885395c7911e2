use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::answer::{session_state_id, text, time};

/// Larger tokens are not looked into.
const MAX_BYTES: usize = 16 * 1024;

/// What a refresh or offline token says of itself, read without verification: the provider signs
/// it with a key of its own, and it came from there over TLS or goes there to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// `typ`: `Offline` or `Refresh` at Keycloak.
    pub typ: String,
    /// `sub`, which lightweight tokens leave out.
    pub subject: Option<String>,
    /// `sid`.
    pub session_state_id: Option<String>,
    /// `azp`.
    pub client_id: Option<String>,
    /// `jti`.
    pub jti: Option<String>,
    /// `exp`; none: no maximum.
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenFacts {
    /// Reads them; none where the token is opaque.
    #[must_use]
    pub fn decode(refresh_token: &str) -> Option<Self> {
        let claims = unverified_claims(refresh_token)?;
        Some(Self {
            typ: text(&claims, "typ").unwrap_or_default(),
            subject: text(&claims, "sub"),
            session_state_id: session_state_id(&claims),
            client_id: text(&claims, "azp"),
            jti: text(&claims, "jti"),
            expires_at: time(&claims, "exp").filter(|time| time.timestamp() > 0),
        })
    }

    /// Whether it is good while the user is away.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.typ == "Offline"
    }
}

/// The payload of a compact JWS that nobody verified.
pub(crate) fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let (_, rest) = token.split_once('.').filter(|_| token.len() <= MAX_BYTES)?;
    let (payload, signature) = rest.split_once('.')?;
    if signature.contains('.') {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn an_offline_token_without_a_maximum_is_read() {
        let claims = json!({
            "typ": "Offline", "sub": "s", "sid": "abc", "azp": "offline", "jti": "j", "exp": 0,
        });
        let facts = TokenFacts::decode(&token(&claims)).unwrap();
        assert!(facts.is_offline());
        assert_eq!(facts.session_state_id.as_deref(), Some("abc"));
        assert_eq!(facts.client_id.as_deref(), Some("offline"));
        assert_eq!(facts.expires_at, None);
    }

    #[test]
    fn an_online_token_is_none() {
        let claims = json!({ "typ": "Refresh", "session_state": "old", "exp": 1_800_000_000 });
        let facts = TokenFacts::decode(&token(&claims)).unwrap();
        assert!(!facts.is_offline());
        assert_eq!(facts.session_state_id.as_deref(), Some("old"));
        assert_eq!(facts.expires_at.unwrap().timestamp(), 1_800_000_000);
    }

    #[test]
    fn opaque_tokens_say_nothing() {
        for opaque in ["", "gho_16C7e42F292c6912E7710c838347Ae178B4a", "a.b", "a.b.c.d", "a.!.c"] {
            assert_eq!(TokenFacts::decode(opaque), None, "{opaque}");
        }
    }
}
