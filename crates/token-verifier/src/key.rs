use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Moduli that are too weak or too slow to check are refused.
const RSA_BITS: std::ops::RangeInclusive<i32> = 2048..=4096;
/// The least public exponent.
const LEAST_EXPONENT: u32 = 65_537;

/// Signature algorithms that tokens may have (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// As in a header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A key that is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form it should have.
    #[error("the key is malformed")]
    Malformed,
    /// Neither RSA nor P-256, or not for signatures.
    #[error("the key is of a kind that is not accepted")]
    Unsupported,
    /// RSA below 2048 or above 4096 bits, or with an exponent below 65537.
    #[error("the key is too weak, or too large")]
    Strength,
}

impl KeyError {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_key",
            Self::Unsupported => "unsupported_key",
            Self::Strength => "key_strength",
        }
    }
}

/// A public key, ready to verify with; it decides the algorithm, never the token. Clones share
/// it.
#[derive(Clone)]
pub struct Key {
    kid: Arc<str>,
    algorithm: Algorithm,
    public: Arc<ParsedPublicKey>,
}

impl Key {
    /// From a public JWK with a `kid` (RFC 7517, section 4).
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let text = |member: &str| jwk[member].as_str();
        let kid = text("kid").ok_or(KeyError::Malformed)?;
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::Unsupported);
        }
        let algorithm = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => Algorithm::Rs256,
            (Some("EC"), Some("P-256")) => Algorithm::Es256,
            _ => return Err(KeyError::Unsupported),
        };
        if text("alg").is_some_and(|alg| alg != algorithm.as_str()) {
            return Err(KeyError::Unsupported);
        }
        let public = match algorithm {
            Algorithm::Rs256 => rsa(jwk)?,
            Algorithm::Es256 => p256(jwk)?,
        };
        Ok(Self { kid: kid.into(), algorithm, public: Arc::new(public) })
    }

    /// From a PEM public key; its `kid` is its thumbprint (RFC 7638).
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PKey::public_key_from_pem(pem).map_err(|_| KeyError::Malformed)?;
        Self::from_jwk(&jwk_of(&key).ok_or(KeyError::Unsupported)?)
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// RFC 7518, section 6.3.1.
fn rsa(jwk: &Value) -> Result<ParsedPublicKey, KeyError> {
    let number =
        |member| BigNum::from_slice(&decode(jwk, member)?).map_err(|_| KeyError::Malformed);
    let (modulus, exponent) = (number("n")?, number("e")?);
    let least = BigNum::from_u32(LEAST_EXPONENT).map_err(|_| KeyError::Malformed)?;
    let odd = modulus.is_bit_set(0) && exponent.is_bit_set(0);
    if !RSA_BITS.contains(&modulus.num_bits()) || exponent < least || !odd {
        return Err(KeyError::Strength);
    }
    let der = Rsa::from_public_components(modulus, exponent)
        .and_then(|key| key.public_key_to_der_pkcs1())
        .map_err(|_| KeyError::Malformed)?;
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| KeyError::Malformed)
}

/// RFC 7518, section 6.2.1, as the uncompressed point of SEC 1, section 2.3.3.
fn p256(jwk: &Value) -> Result<ParsedPublicKey, KeyError> {
    const COORDINATE: usize = 32;
    let (x, y) = (decode(jwk, "x")?, decode(jwk, "y")?);
    if x.len() != COORDINATE || y.len() != COORDINATE {
        return Err(KeyError::Malformed);
    }
    let point = [&[4], x.as_slice(), &y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyError::Malformed)
}

fn decode(jwk: &Value, member: &str) -> Result<Vec<u8>, KeyError> {
    let text = jwk[member].as_str().ok_or(KeyError::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed)
}

fn jwk_of(key: &PKey<Public>) -> Option<Value> {
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let (mut jwk, canonical) = if key.id() == Id::RSA {
        let rsa = key.rsa().ok()?;
        let (n, e) = (encode(&rsa.n().to_vec()), encode(&rsa.e().to_vec()));
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        (json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e }), canonical)
    } else {
        let ec = key.ec_key().ok()?;
        let mut context = BigNumContext::new().ok()?;
        let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
        ec.public_key().affine_coordinates(ec.group(), &mut x, &mut y, &mut context).ok()?;
        let (x, y) = (encode(&x.to_vec_padded(32).ok()?), encode(&y.to_vec_padded(32).ok()?));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y });
        (jwk, canonical)
    };
    jwk["kid"] = encode(&Sha256::digest(canonical)).into();
    Some(jwk)
}

/// The public JWK of a PEM public key under its thumbprint, as an issuer publishes it.
pub fn public_jwk(pem: &[u8]) -> Result<Value, KeyError> {
    let key = PKey::public_key_from_pem(pem).map_err(|_| KeyError::Malformed)?;
    jwk_of(&key).ok_or(KeyError::Unsupported)
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
