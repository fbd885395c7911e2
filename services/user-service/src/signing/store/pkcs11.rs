//! Keys in a PKCS#11 token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use vault_crypto::{SigningKind, SigningPublic, SigningToken};

use super::super::signer::SigningKey;
use crate::error::Error;

/// A private key in the token, found by its key id.
pub(super) struct Pkcs11Key {
    pub(super) token: Arc<SigningToken>,
    pub(super) purpose: SigningKind,
    pub(super) kid: String,
}

impl SigningKey for Pkcs11Key {
    fn sign<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let (token, purpose, kid) = (Arc::clone(&self.token), self.purpose, self.kid.clone());
        let input = input.to_vec();
        Box::pin(async move {
            let signed = spawn_blocking(move || token.sign(purpose, &kid, &input)).await;
            let signed = signed.map_err(|error| Error::Internal(error.to_string()))?;
            signed.map_err(|error| Error::SignerUnavailable(error.to_string()))
        })
    }
}

/// Makes a pair in the token and answers its public JWK.
pub(super) async fn make(
    token: Arc<SigningToken>,
    purpose: SigningKind,
    kid: String,
) -> Result<Value, Error> {
    let label = kid.clone();
    let made = spawn_blocking(move || token.make(purpose, &label)).await;
    let made = made.map_err(|error| Error::Internal(error.to_string()))?;
    let public = made.map_err(|error| Error::SignerUnavailable(error.to_string()))?;
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    Ok(match &public {
        SigningPublic::Rsa { n, e } => json!({
            "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(n), "e": encode(e),
        }),
        SigningPublic::P256 { x, y } => json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
            "x": encode(x), "y": encode(y),
        }),
    })
}
