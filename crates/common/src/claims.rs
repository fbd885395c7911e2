//! The access token's claims, shared by issuer and verifiers.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `typ` of an access token's header (RFC 9068, section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// What a session is worth whose person showed a passkey that verified them ("authentication
/// context class reference", RFC 9470).
pub const ACR_PASSKEY: &str = "urn:latchkey:acr:passkey";

/// The same of one whose person gave a password.
pub const ACR_PASSWORD: &str = "urn:latchkey:acr:password";

/// Of [`AccessClaims::amr`]: proof of possession of a key, as a passkey is (RFC 8176).
pub const AMR_KEY: &str = "pop";

/// Claims of an access token (RFC 9068, section 2.2). All dates are whole Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Issuer: the public URL of the user-service, exactly discovery's `issuer`.
    pub iss: String,
    /// Subject; the same as `user_id`.
    pub sub: String,
    /// Audience.
    pub aud: Audience,
    /// Expiry.
    pub exp: i64,
    /// Issued at.
    pub iat: i64,
    /// Not before.
    pub nbf: i64,
    /// Token id, a UUID.
    pub jti: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The user.
    pub user_id: Uuid,
    /// The device that signed in.
    pub device_id: Uuid,
    /// The server's own session id, also the refresh token family.
    pub sid: Uuid,
    /// When the person last proved who they are.
    pub auth_time: i64,
    /// How they did (RFC 8176).
    pub amr: Vec<String>,
    /// What that was worth: [`ACR_PASSKEY`] or [`ACR_PASSWORD`] (RFC 9470, section 6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Granted scope, space separated.
    pub scope: String,
}

/// The class that the methods of an authentication come to.
#[must_use]
pub fn acr(amr: &[String]) -> &'static str {
    if amr.iter().any(|method| method == AMR_KEY) { ACR_PASSKEY } else { ACR_PASSWORD }
}

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The usual case.
    One(String),
    /// A list of them.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `audience` is among them, compared byte by byte.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}
