//! The ring of service keys: next, current, and those that still verify.

use std::fs;
use std::sync::Arc;

use openssl::pkey::{PKey, Private};
use serde_json::Value;
use token_verifier::public_jwk;
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
            let pem = private.public_key_to_pem().map_err(|error| unusable(path, &error))?;
            let public = public_jwk(&pem).map_err(|error| unusable(path, &error))?;
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
    let public = match PKey::private_key_from_pem(&pem) {
        Ok(private) => private.public_key_to_pem().map_err(|error| unusable(path, &error))?,
        Err(_) => pem.to_vec(),
    };
    public_jwk(&public).map_err(|error| unusable(path, &error))
}
