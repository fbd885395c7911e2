//! The one port behind which private keys are, in this process or outside it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use futures_util::future::BoxFuture;
use josekit::JoseError;
use josekit::jws::{ES256, JwsSigner, RS256};
use openssl::pkey::{Id, PKey};
use serde_json::json;
use token_verifier::Algorithm;

use crate::error::Error;

/// A private key that signs, wherever it is.
pub(super) trait SigningKey: Send + Sync {
    /// The signature over `input` as RFC 7518, sections 3.3 and 3.4 have it: for ES256 the two
    /// numbers one after the other, 64 bytes.
    fn sign<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Error>>;
}

/// A private key and the header of the tokens that it signs.
pub struct Signer {
    header: String,
    key: Box<dyn SigningKey>,
}

impl Signer {
    pub(super) fn new(kid: &str, algorithm: Algorithm, key: Box<dyn SigningKey>) -> Self {
        let header =
            json!({ "alg": algorithm.as_str(), "kid": kid, "typ": ACCESS_TOKEN_TYPE }).to_string();
        Self { header: URL_SAFE_NO_PAD.encode(header), key }
    }

    /// From PKCS#8 DER; the key's type decides the algorithm.
    pub(super) fn from_pkcs8(kid: &str, der: &[u8]) -> Result<Self, JoseError> {
        let invalid = |error: openssl::error::ErrorStack| JoseError::InvalidKeyFormat(error.into());
        let is_rsa = PKey::private_key_from_der(der).map_err(invalid)?.id() == Id::RSA;
        let (algorithm, signer): (_, Box<dyn JwsSigner + Send + Sync>) = if is_rsa {
            (Algorithm::Rs256, Box::new(RS256.signer_from_der(der)?))
        } else {
            (Algorithm::Es256, Box::new(ES256.signer_from_der(der)?))
        };
        Ok(Self::new(kid, algorithm, Box::new(InProcess(signer))))
    }

    /// Whether the key signs now: what it signs has no dots and can be no token.
    pub(super) async fn try_out(&self) -> Result<(), Error> {
        self.key.sign(b"readiness").await.map(drop)
    }

    /// The claims as a compact JWS (RFC 7515, section 3.1).
    pub(super) async fn sign(&self, claims: &AccessClaims) -> Result<String, Error> {
        let payload =
            serde_json::to_vec(claims).map_err(|error| Error::Internal(error.to_string()))?;
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(token.as_bytes()).await?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// A parsed private key in memory.
struct InProcess(Box<dyn JwsSigner + Send + Sync>);

impl SigningKey for InProcess {
    fn sign<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let signature = self.0.sign(input).map_err(|error| Error::Internal(error.to_string()));
        Box::pin(std::future::ready(signature))
    }
}
