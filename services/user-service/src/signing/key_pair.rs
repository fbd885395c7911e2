//! New key pairs. Made by aws-lc, two to three times as fast as OpenSSL.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use token_verifier::Algorithm;
use uuid::Uuid;
use vault_crypto::{Identity, Keyring};
use zeroize::Zeroizing;

use crate::models::published_key::TakenKey;

/// What a sealed private key is bound to, in the pool and in a keyset alike.
pub fn identity(kid: &str) -> Identity {
    Identity::new("signing_key").field(kid)
}

/// What tells keys for one setting from those for another.
pub fn key_type(algorithm: Algorithm, rsa_bits: u32) -> String {
    match algorithm {
        Algorithm::Rs256 => format!("RS256-{rsa_bits}"),
        Algorithm::Es256 => "ES256".to_owned(),
    }
}

/// A key pair under a random key id.
pub struct FreshKey {
    /// Key id.
    pub kid: String,
    /// What the JWKS shows.
    pub public_jwk: Value,
    /// PKCS#8.
    pub private: Zeroizing<Vec<u8>>,
}

/// Makes a key pair; 80 to 250 ms of one core for RSA.
pub fn fresh(algorithm: Algorithm, rsa_bits: u32) -> Result<FreshKey, String> {
    let kid = Uuid::new_v4().simple().to_string();
    let (public_jwk, private) = match algorithm {
        Algorithm::Rs256 => rsa(&kid, rsa_bits)?,
        Algorithm::Es256 => ec(&kid)?,
    };
    Ok(FreshKey { kid, public_jwk, private })
}

/// Makes a key pair and seals its private part, for the pool.
pub fn generate(
    algorithm: Algorithm,
    rsa_bits: u32,
    keyring: &Keyring,
    now: DateTime<Utc>,
) -> Result<(TakenKey, String), String> {
    let FreshKey { kid, public_jwk, private } = fresh(algorithm, rsa_bits)?;
    let key_type = key_type(algorithm, rsa_bits);
    let sealed = keyring.seal(&identity(&kid), &private);
    let sealing_key_id = sealed.key_id().to_owned();
    let sealed_key = sealed.into_bytes();
    Ok((TakenKey { kid, public_jwk, key_type, sealed_key, published_at: now }, sealing_key_id))
}

fn rsa(kid: &str, bits: u32) -> Result<(Value, Zeroizing<Vec<u8>>), String> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return Err("`signing.rsa_bits` must be 2048, 3072 or 4096".to_owned()),
    };
    let failed = |_| "an RSA key could not be made".to_owned();
    let pair = rsa::KeyPair::generate(size).map_err(failed)?;
    let private = AsDer::<Pkcs8V1Der>::as_der(&pair).map_err(failed)?;
    let public = pair.public_key();
    let jwk = json!({
        "kty": "RSA",
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
        "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
        "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
    });
    Ok((jwk, Zeroizing::new(private.as_ref().to_vec())))
}

fn ec(kid: &str) -> Result<(Value, Zeroizing<Vec<u8>>), String> {
    let failed = |_| "an EC key could not be made".to_owned();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    // An uncompressed point: 0x04, then x and y of 32 bytes each (SEC 1, section 2.3.3).
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC",
        "crv": "P-256",
        "kid": kid,
        "use": "sig",
        "alg": "ES256",
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
    });
    Ok((jwk, Zeroizing::new(private.as_ref().to_vec())))
}
