//! Keys behind a transit service: the HTTP API that `HashiCorp` Vault and `OpenBao` share.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::http::Correlation;
use common::tls::trust;
use futures_util::future::BoxFuture;
use openssl::ecdsa::EcdsaSig;
use reqwest::{Client, Method, StatusCode, redirect};
use serde_json::{Value, json};
use token_verifier::{Algorithm, public_jwk};
use zeroize::Zeroizing;

use super::super::signer::SigningKey;
use crate::config::TransitSettings;
use crate::error::Error;

/// Our keys' names begin with this, so that a policy can name them.
const PREFIX: &str = "latchkey-";
/// What stands before a signature of the version that the JWKS shows.
const FIRST_VERSION: &str = "vault:v1:";
/// Bytes of each of the two numbers of an ES256 signature (RFC 7518, section 3.4).
const NUMBER_BYTES: i32 = 32;

/// The transit service.
pub(super) struct Transit {
    base: String,
    token_path: String,
    client: Client,
}

/// A private key there, named after its key id.
pub(super) struct TransitKey {
    pub(super) transit: Arc<Transit>,
    pub(super) algorithm: Algorithm,
    pub(super) kid: String,
}

/// Why a call came to nothing.
struct Failed {
    reason: String,
    /// Whether the same call may do better at once.
    again: bool,
}

impl Transit {
    pub(super) fn new(settings: &TransitSettings) -> Result<Self, String> {
        let wrong = |key: &str, error: &dyn std::fmt::Display| format!("`signing.{key}`: {error}");
        let client = Client::builder()
            .timeout(settings.timeout.0)
            .redirect(redirect::Policy::none())
            .no_proxy();
        let client = trust(client, "signing.transit_ca_path", settings.ca_path.as_deref())?;
        let token = fs::metadata(&settings.token_path)
            .map_err(|error| wrong("transit_token_path", &error))?;
        // It is read at each call, which a pipe, for one, would keep waiting.
        if !token.is_file() {
            return Err(wrong("transit_token_path", &"is no file"));
        }
        fs::read(&settings.token_path).map_err(|error| wrong("transit_token_path", &error))?;
        Ok(Self {
            base: format!("{}/v1/{}", settings.url.trim_end_matches('/'), settings.mount),
            token_path: settings.token_path.clone(),
            client: client.build().map_err(|error| wrong("transit_url", &error))?,
        })
    }

    /// Makes a key and answers its public JWK under `kid`.
    pub(super) async fn make(&self, purpose: &str, kid: &str) -> Result<Value, Error> {
        let path = format!("keys/{PREFIX}{kid}");
        self.call(Method::POST, &path, Some(&json!({ "type": purpose, "exportable": false })))
            .await?;
        let key = self.call(Method::GET, &path, None).await?;
        let pem = key["data"]["keys"]["1"]["public_key"].as_str().unwrap_or_default();
        let mut jwk = public_jwk(pem.as_bytes())
            .map_err(|error| away(format!("no public key that can be used: {error}")))?;
        jwk["kid"] = kid.into();
        Ok(jwk)
    }

    /// Removes a key; the policy of our token need not permit it.
    pub(super) async fn remove(&self, kid: &str) -> Result<(), Error> {
        let path = format!("keys/{PREFIX}{kid}");
        let allow = json!({ "deletion_allowed": true });
        self.call(Method::POST, &format!("{path}/config"), Some(&allow)).await?;
        self.call(Method::DELETE, &path, None).await.map(drop)
    }

    /// Every call may be made twice: one that makes a key which is there changes nothing.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        match self.call_once(method.clone(), path, body).await {
            Err(Failed { again: true, .. }) => self.call_once(method, path, body).await,
            answer => answer,
        }
        .map_err(|failed| away(failed.reason))
    }

    async fn call_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let lost =
            |error: reqwest::Error| Failed { reason: error.without_url().to_string(), again: true };
        // Read each time: whoever renews the token writes the file anew.
        let token = fs::read_to_string(&self.token_path).map(Zeroizing::new).map_err(|error| {
            Failed { reason: format!("the token's file: {error}"), again: false }
        })?;
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        request = request.header("X-Vault-Token", token.trim());
        for (name, value) in Correlation::headers() {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(lost)?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(Value::Null),
            status if status.is_success() => response.json().await.map_err(lost),
            status => Err(Failed {
                reason: format!("the transit service answers {status}"),
                again: status.is_server_error(),
            }),
        }
    }
}

impl SigningKey for TransitKey {
    fn sign<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            let path = format!("sign/{PREFIX}{}/sha2-256", self.kid);
            let body = json!({
                "input": STANDARD.encode(input),
                // The JWKS shows that one: whoever rotates the key there changes nothing here.
                "key_version": 1,
                "signature_algorithm": "pkcs1v15",
                "marshaling_algorithm": "asn1",
            });
            let answer = self.transit.call(Method::POST, &path, Some(&body)).await?;
            let signature = answer["data"]["signature"].as_str();
            let signature = signature.and_then(|text| text.strip_prefix(FIRST_VERSION));
            let signature = signature.and_then(|text| STANDARD.decode(text).ok());
            let signature = signature.filter(|bytes| !bytes.is_empty());
            let signature = signature
                .ok_or_else(|| away("no signature of the key's first version".to_owned()))?;
            match self.algorithm {
                Algorithm::Rs256 => Ok(signature),
                Algorithm::Es256 => {
                    raw(&signature).ok_or_else(|| away("no ECDSA signature in the answer".into()))
                }
            }
        })
    }
}

fn away(reason: String) -> Error {
    Error::SignerUnavailable(reason)
}

/// The two numbers of a DER signature, one after the other.
fn raw(der: &[u8]) -> Option<Vec<u8>> {
    let signature = EcdsaSig::from_der(der).ok()?;
    let r = signature.r().to_vec_padded(NUMBER_BYTES).ok()?;
    let s = signature.s().to_vec_padded(NUMBER_BYTES).ok()?;
    Some([r, s].concat())
}
