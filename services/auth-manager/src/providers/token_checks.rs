//! Tokens that are checked here, against the provider's public keys.

use serde_json::{Map, Value};
use token_verifier::{Reason, Unverified};

use super::claims::{Expected, check_access, check_id, check_logout};
use super::{Fault, IdClaims, Introspection, LogoutClaims, Provider};

/// A token whose signature holds.
struct Signed {
    header_type: String,
    claims: Map<String, Value>,
}

impl Provider {
    /// Checks an access token against the provider's keys; none: not one that is active. What was
    /// revoked before its time is not seen like this.
    pub async fn check_access_token(&self, token: &str) -> Result<Option<Introspection>, Fault> {
        let signed = match self.signed(token).await? {
            Ok(signed) => signed,
            Err(reason) => {
                tracing::debug!(provider = self.name(), reason, "access_token_refused");
                return Ok(None);
            }
        };
        let checked = check_access(&signed.claims, self.expected(&signed));
        let refused =
            |reason: &_| tracing::debug!(provider = self.name(), reason, "access_token_refused");
        Ok(checked.inspect_err(refused).ok())
    }

    /// Checks the id token that came with a code: for this client, with this nonce.
    pub async fn check_id_token(
        &self,
        id_token: &str,
        client_id: &str,
        nonce: &str,
    ) -> Result<IdClaims, Fault> {
        let bad = |reason| Fault::Misconfigured(format!("id token: {reason}"));
        let signed = self.signed(id_token).await?.map_err(bad)?;
        check_id(&signed.claims, self.expected(&signed), client_id, nonce).map_err(bad)
    }

    /// Checks a logout token; a bad one is `Refused` with `invalid_request`, as the answer to it
    /// must be. Whether its `jti` was heard before is the caller's to know.
    pub async fn check_logout_token(&self, token: &str) -> Result<LogoutClaims, Fault> {
        let bad = |reason: &'static str| Fault::Refused {
            code: "invalid_request".to_owned(),
            description: Some(format!("logout token: {reason}")),
        };
        let signed = self.signed(token).await?.map_err(bad)?;
        let clients = self.settings.clients().map(|client| client.id.as_str());
        check_logout(&signed.claims, self.expected(&signed), clients).map_err(bad)
    }

    fn expected<'a>(&'a self, signed: &'a Signed) -> Expected<'a> {
        Expected { issuer: self.issuer(), header_type: &signed.header_type, now: self.clock.now() }
    }

    /// The outer error is the provider's, the inner one the token's.
    async fn signed(&self, token: &str) -> Result<Result<Signed, &'static str>, Fault> {
        let unverified = match Unverified::parse(token) {
            Ok(unverified) => unverified,
            Err(reason) => return Ok(Err(reason.as_str())),
        };
        let deadline = self.http.deadline();
        let endpoints = self.endpoints(deadline).await?;
        let key = self.keys.find(unverified.kid(), &self.http, &endpoints, deadline).await;
        let Some(key) = self.learn(key).await? else {
            return Ok(Err("unknown_key"));
        };
        let header_type = unverified.token_type().to_owned();
        let claims = unverified.signed_payload(&key).map_err(Reason::as_str);
        Ok(claims.map(|claims| Signed { header_type, claims }))
    }
}
