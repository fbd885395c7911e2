//! A ring of PEM files, which whoever wrote them rotates: read once.

use std::fs;
use std::sync::Arc;

use openssl::pkey::PKey;
use serde_json::Value;
use token_verifier::{Key, public_jwk};
use zeroize::Zeroizing;

use super::super::signer::Signer;
use super::snapshot::{RingKey, Snapshot};
use crate::config::SigningSettings;

/// Reads the files that the settings name.
pub(super) fn read(settings: &SigningSettings) -> Result<Snapshot, String> {
    let (mut signer, mut keys) = (None, Vec::new());
    if let Some(path) = &settings.private_key_path {
        let current = read_current(path);
        let (current, key) = current.map_err(|error| named("private_key_path", path, &error))?;
        let kid = key.jwk["kid"].as_str().unwrap_or_default().to_owned();
        signer = Some((kid, current));
        keys.push(key);
    }
    let next = settings.next_key_path.iter().map(|path| ("next_key_path", path));
    let retired = settings.retired_key_paths.0.iter().map(|path| ("retired_key_paths", path));
    for (key, path) in next.chain(retired) {
        keys.push(read_public(path).map_err(|error| named(key, path, &error))?);
    }
    Ok(Snapshot::fixed(signer, keys))
}

fn named(key: &str, path: &str, error: &str) -> String {
    format!("`signing.{key}`: {path}: {error}")
}

fn unusable(error: &dyn std::fmt::Display) -> String {
    format!("not a usable signing key: {error}")
}

fn read_file(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = fs::read(path).map_err(|error| {
        format!("can't be read: {error}; `latchkey keygen` makes a service key")
    })?;
    Ok(Zeroizing::new(bytes))
}

fn read_current(path: &str) -> Result<(Arc<Signer>, RingKey), String> {
    let private = PKey::private_key_from_pem(&read_file(path)?)
        .map_err(|_| "not a PEM private key".to_owned())?;
    let public = public_of(&private.public_key_to_pem().map_err(|error| unusable(&error))?)?;
    let der = private.private_key_to_pkcs8().map_err(|error| unusable(&error))?;
    let kid = public.jwk["kid"].as_str().unwrap_or_default();
    let signer = Signer::from_pkcs8(kid, &Zeroizing::new(der)).map_err(|error| unusable(&error))?;
    Ok((Arc::new(signer), public))
}

/// From a private or a public PEM: a retired key's private part may be gone already.
fn read_public(path: &str) -> Result<RingKey, String> {
    let pem = read_file(path)?;
    match PKey::private_key_from_pem(&pem) {
        Ok(private) => public_of(&private.public_key_to_pem().map_err(|error| unusable(&error))?),
        Err(_) => public_of(&pem),
    }
}

/// The public key, if verifiers will take it.
fn public_of(pem: &[u8]) -> Result<RingKey, String> {
    let jwk: Value = public_jwk(pem).map_err(|error| unusable(&error))?;
    let key = Key::from_jwk(&jwk).map_err(|error| unusable(&error))?;
    Ok(RingKey { jwk, key })
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;

    use super::*;

    fn pem_of(key: &PKey<Private>) -> Vec<u8> {
        key.public_key_to_pem().unwrap()
    }

    #[test]
    fn keys_that_verifiers_refuse_are_refused_here() {
        let rsa = |bits| pem_of(&PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap());
        let ec = |curve| {
            let group = EcGroup::from_curve_name(curve).unwrap();
            pem_of(&PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap())
        };
        for weak in [rsa(1024), ec(Nid::SECP384R1), ec(Nid::SECP256K1)] {
            assert!(public_of(&weak).err().unwrap().starts_with("not a usable signing key"));
        }
        let ed25519 = pem_of(&PKey::generate_ed25519().unwrap());
        assert!(public_of(&ed25519).is_err());
        assert!(public_of(b"nonsense").is_err());
        assert_eq!(public_of(&rsa(2048)).ok().unwrap().jwk["alg"], "RS256");
        assert_eq!(public_of(&ec(Nid::X9_62_PRIME256V1)).ok().unwrap().jwk["alg"], "ES256");
    }
}
