//! Keys in a PKCS#11 token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use vault_crypto::{Pkcs11Error, SigningKind, SigningPublic, SigningToken};

use super::super::signer::SigningKey;
use super::MAKING;
use super::gate::Gate;
use crate::config::TokenPlace;
use crate::error::Error;

/// Signatures made at once.
const SIGNATURES: usize = 8;
/// How long a signature may take, the wait for its turn included.
const SIGNING: Duration = Duration::from_secs(5);

/// A token, which may hang.
pub(super) struct Token {
    inner: Arc<SigningToken>,
    signing: Gate,
    /// Keys that are never made take nothing from signatures.
    making: Gate,
}

impl Token {
    pub(super) fn open(place: TokenPlace<'_>) -> Result<Self, Pkcs11Error> {
        let token = SigningToken::open(place.module, place.token, place.pin.expose())?;
        Ok(Self {
            inner: Arc::new(token),
            signing: Gate::new(SIGNATURES, SIGNING),
            making: Gate::new(1, MAKING),
        })
    }

    /// Makes a pair in the token and answers its public JWK.
    pub(super) async fn make(&self, purpose: SigningKind, kid: String) -> Result<Value, Error> {
        let label = kid.clone();
        let token = Arc::clone(&self.inner);
        let made = self.making.run(move || token.make(purpose, &label)).await?;
        let public = made.map_err(|error| away(&error))?;
        let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        Ok(match &public {
            SigningPublic::Rsa { n, e } => json!({
                "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(n),
                "e": encode(e),
            }),
            SigningPublic::P256 { x, y } => json!({
                "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
                "x": encode(x), "y": encode(y),
            }),
        })
    }

    /// Removes a pair from the token.
    pub(super) async fn remove(&self, kid: String) -> Result<(), Error> {
        let token = Arc::clone(&self.inner);
        let removed = self.making.run(move || token.remove(&kid)).await?;
        removed.map_err(|error| away(&error))
    }
}

/// A private key in the token, found by its key id.
pub(super) struct Pkcs11Key {
    pub(super) token: Arc<Token>,
    pub(super) purpose: SigningKind,
    pub(super) kid: String,
}

impl SigningKey for Pkcs11Key {
    fn sign<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let (token, kid, input) = (Arc::clone(&self.token.inner), self.kid.clone(), input.to_vec());
        let purpose = self.purpose;
        Box::pin(async move {
            let signed = self.token.signing.run(move || token.sign(purpose, &kid, &input)).await?;
            signed.map_err(|error| away(&error))
        })
    }
}

fn away(error: &Pkcs11Error) -> Error {
    Error::SignerUnavailable(error.to_string())
}
