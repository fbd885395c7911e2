use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::settings::Secret;

use super::{ClientCredentials, Fault, ServiceClient};
use crate::config::ProvidersSettings;
use crate::metrics::ServiceMetrics;

/// All of them; clones share everything.
#[derive(Clone)]
pub struct Providers;

/// One provider.
pub struct Provider;

/// Where a browser is sent (RFC 6749, section 4.1.1, RFC 7636).
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// Our client.
    pub client_id: &'a str,
    /// Where it comes back to.
    pub redirect_uri: &'a str,
    /// Space separated.
    pub scope: &'a str,
    /// The state token.
    pub state: &'a str,
    /// OpenID Connect nonce.
    pub nonce: &'a str,
    /// Of the PKCE verifier, S256.
    pub code_challenge: &'a str,
}

/// A token endpoint's answer (RFC 6749, section 5.1).
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: Secret,
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
