use common::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use josekit::JoseError;
use josekit::jws::{ES256, JwsHeader, JwsSigner, RS256, serialize_compact};
use openssl::pkey::{Id, PKey};

/// A parsed private key and the header of the tokens that it signs.
pub struct Signer {
    header: JwsHeader,
    signer: Box<dyn JwsSigner + Send + Sync>,
}

impl Signer {
    /// From PKCS#8 DER; the key's type decides the algorithm.
    pub(super) fn from_pkcs8(kid: &str, der: &[u8]) -> Result<Self, JoseError> {
        let invalid = |error: openssl::error::ErrorStack| JoseError::InvalidKeyFormat(error.into());
        let is_rsa = PKey::private_key_from_der(der).map_err(invalid)?.id() == Id::RSA;
        let signer: Box<dyn JwsSigner + Send + Sync> = if is_rsa {
            Box::new(RS256.signer_from_der(der)?)
        } else {
            Box::new(ES256.signer_from_der(der)?)
        };
        let mut header = JwsHeader::new();
        header.set_token_type(ACCESS_TOKEN_TYPE);
        header.set_key_id(kid);
        Ok(Self { header, signer })
    }

    /// The claims as a compact JWS (RFC 7515, section 3.1).
    pub(super) fn sign(&self, claims: &AccessClaims) -> Result<String, JoseError> {
        let payload =
            serde_json::to_vec(claims).map_err(|error| JoseError::InvalidJson(error.into()))?;
        serialize_compact(&payload, &self.header, self.signer.as_ref())
    }
}
