//! The ring of service keys: next, current, and those that still verify.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::error::ErrorStack;
use openssl::pkey::{HasPublic, Id, PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::signer::Signer;
use crate::config::SigningSettings;

/// The ring; every key in it is published, one signs.
#[derive(Default)]
pub(super) struct ServiceKeys {
    current: Option<(Arc<Signer>, Value)>,
    others: Vec<Value>,
}

impl ServiceKeys {
    /// Reads the PEM files that the settings name.
    pub(super) fn read(settings: &SigningSettings) -> Result<Self, String> {
        let mut ring = Self::default();
        if let Some(path) = &settings.private_key_path {
            let private = read_private(path)?;
            let public = public_jwk(&private).map_err(|error| unusable(path, &error))?;
            let der = private.private_key_to_pkcs8().map_err(|error| unusable(path, &error))?;
            let kid = public["kid"].as_str().unwrap_or_default();
            let signer = Signer::from_pkcs8(kid, &Zeroizing::new(der))
                .map_err(|error| unusable(path, &error))?;
            ring.current = Some((Arc::new(signer), public));
        }
        for path in settings.next_key_path.iter().chain(&settings.retired_key_paths.0) {
            ring.others.push(read_public(path)?);
        }
        Ok(ring)
    }

    pub(super) fn current(&self) -> Option<Arc<Signer>> {
        self.current.as_ref().map(|(signer, _)| Arc::clone(signer))
    }

    pub(super) fn current_public(&self) -> Option<&Value> {
        self.current.as_ref().map(|(_, public)| public)
    }

    pub(super) fn list_public(&self) -> impl Iterator<Item = &Value> {
        self.current_public().into_iter().chain(&self.others)
    }

    pub(super) fn find_public(&self, kid: &str) -> Option<&Value> {
        self.list_public().find(|jwk| jwk["kid"] == kid)
    }
}

fn unusable(path: &str, error: &dyn std::fmt::Display) -> String {
    format!("{path}: not a usable signing key: {error}")
}

fn read_file(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = fs::read(path).map_err(|error| {
        format!("{path} can't be read: {error}; `latchkey keygen` makes a service key")
    })?;
    Ok(Zeroizing::new(bytes))
}

fn read_private(path: &str) -> Result<PKey<Private>, String> {
    let pem = read_file(path)?;
    PKey::private_key_from_pem(&pem).map_err(|_| format!("{path}: not a PEM private key"))
}

/// From a private or a public PEM: a retired key's private part may be gone already.
fn read_public(path: &str) -> Result<Value, String> {
    let pem = read_file(path)?;
    let jwk = match PKey::private_key_from_pem(&pem) {
        Ok(private) => public_jwk(&private),
        Err(_) => PKey::public_key_from_pem(&pem).and_then(|public| public_jwk(&public)),
    };
    jwk.map_err(|_| format!("{path}: not a PEM key of a kind that signs (RSA or P-256)"))
}

/// The public JWK under its thumbprint (RFC 7638), the same on every replica.
fn public_jwk<T: HasPublic>(key: &PKey<T>) -> Result<Value, ErrorStack> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (mut jwk, canonical) = if key.id() == Id::RSA {
        let rsa: Rsa<T> = key.rsa()?;
        let (n, e) = (encode(&rsa.n().to_vec()), encode(&rsa.e().to_vec()));
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        (json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e }), canonical)
    } else {
        let ec = key.ec_key()?;
        let (mut x, mut y, mut context) =
            (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
        ec.public_key().affine_coordinates(ec.group(), &mut x, &mut y, &mut context)?;
        let (x, y) = (encode(&x.to_vec_padded(32)?), encode(&y.to_vec_padded(32)?));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y });
        (jwk, canonical)
    };
    jwk["kid"] = encode(&Sha256::digest(canonical.as_bytes())).into();
    Ok(jwk)
}
