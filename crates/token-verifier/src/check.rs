use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use common::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use serde_json::{Map, Value};

use crate::key::{Algorithm, Key};
use crate::policy::{Legacy, Policy};
use crate::reason::Reason;
use crate::{claims, legacy, strict_json};

/// Tokens above this are refused before any work.
pub(crate) const MAX_BYTES: usize = 8 * 1024;
const MAX_KID: usize = 128;
/// Header members that would change what is verified, or with what (RFC 8725, sections 3.9, 3.10
/// and RFC 7797).
const FORBIDDEN: [&str; 8] = ["crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// A token whose header was read and nothing believed.
#[derive(Debug)]
pub struct Unverified<'a> {
    kid: String,
    algorithm: Algorithm,
    token_type: String,
    message: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Reads size, parts and header of a compact JWS (RFC 7515, section 3.1).
    pub fn parse(token: &'a str) -> Result<Self, Reason> {
        if token.len() > MAX_BYTES {
            return Err(Reason::TooLarge);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Reason::Malformed)?;
        if payload.contains('.') {
            return Err(Reason::Malformed);
        }
        let header = object(header)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err(Reason::ForbiddenHeader);
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::parse).ok_or(Reason::Algorithm)?;
        let kid = text("kid").filter(|kid| is_kid(kid)).ok_or(Reason::KeyId)?.to_owned();
        let token_type = text("typ").unwrap_or_default().to_owned();
        let signature = decode(signature)?;
        Ok(Self { kid, algorithm, token_type, message, payload, signature })
    }

    /// The key id that the header names: 1 to 128 of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The header's `typ`, empty where it has none.
    #[must_use]
    pub fn token_type(&self) -> &str {
        &self.token_type
    }

    /// Checks the signature alone and answers the payload, whose claims are the caller's to judge:
    /// for tokens of other issuers and other profiles.
    pub fn signed_payload(&self, key: &Key) -> Result<Map<String, Value>, Reason> {
        if self.algorithm != key.algorithm() {
            return Err(Reason::Algorithm);
        }
        if self.kid != key.kid() {
            return Err(Reason::KeyId);
        }
        if !key.verify(self.message.as_bytes(), &self.signature) {
            return Err(Reason::Signature);
        }
        object(self.payload)
    }

    /// Checks signature, then type, then claims, and believes them.
    pub fn check(
        self,
        key: &Key,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Result<AccessClaims, Reason> {
        let payload = self.signed_payload(key)?;
        if is_access_token_type(&self.token_type) {
            return claims::check(&payload, policy, now);
        }
        match &policy.legacy {
            Some(legacy) if Legacy::takes_type(&self.token_type) => {
                legacy::check(&payload, legacy, policy, now)
            }
            _ => Err(Reason::TokenType),
        }
    }
}

/// `typ` is a media type, in any case, with or without `application/` (RFC 7515, section 4.1.9).
fn is_access_token_type(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").unwrap_or(&text) == ACCESS_TOKEN_TYPE
}

/// Whether `kid` has the shape of a key id: anything else names no key and need not be looked up.
#[must_use]
pub fn is_kid(kid: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(allowed)
}

fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, Reason> {
    strict_json::parse_object(&decode(part)?).ok_or(Reason::Malformed)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "check_legacy_tests.rs"]
mod legacy_tests;
