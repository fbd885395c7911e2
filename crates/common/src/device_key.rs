//! The device key: agreed at registration, never sent, and what a device proves itself with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

const INFO: &[u8] = b"latchkey device hmac v1";

/// 32 raw bytes, known to the device and, sealed, to the user-service.
#[derive(Clone)]
pub struct DeviceKey(Zeroizing<[u8; 32]>);

impl DeviceKey {
    /// Agrees on a key: HKDF-SHA-256 over the X25519 shared secret, salted with the raw client
    /// key, then the raw server key. `None` where the shared secret is all zero (RFC 7748,
    /// section 6.1).
    #[must_use]
    pub fn agree(
        own_secret: &StaticSecret,
        peer: &PublicKey,
        client: &PublicKey,
        server: &PublicKey,
    ) -> Option<Self> {
        let shared = own_secret.diffie_hellman(peer);
        if !shared.was_contributory() {
            return None;
        }
        let salt = [client.to_bytes(), server.to_bytes()].concat();
        let mut key = Zeroizing::new([0; 32]);
        // HKDF-SHA-256 refuses only outputs above 8,160 bytes.
        Hkdf::<Sha256>::new(Some(&salt), shared.as_bytes()).expand(INFO, key.as_mut()).ok()?;
        Some(Self(key))
    }

    /// A key that was stored; `None` unless it has 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The raw key, to be sealed or saved.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hex HMAC-SHA-256 of `message`.
    #[must_use]
    pub fn sign(&self, message: &str) -> String {
        hex::encode(self.mac(message).finalize().into_bytes())
    }

    /// Whether `signature` is [`DeviceKey::sign`] of `message`, in constant time.
    #[must_use]
    pub fn verify(&self, message: &str, signature: &str) -> bool {
        let well_formed = signature.bytes().all(|byte| !byte.is_ascii_uppercase());
        let Ok(bytes) = hex::decode(signature) else {
            return false;
        };
        well_formed && self.mac(message).verify_slice(&bytes).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, message: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("any key length");
        mac.update(message.as_bytes());
        mac
    }
}

/// What a login's `session_id` signs, every value exactly as sent.
#[must_use]
pub fn session_id_message(device_id: &str, timestamp: &str, nonce: &str) -> String {
    format!("{device_id}:{timestamp}:{nonce}")
}

/// What a login's `device_signature` signs, every value exactly as sent.
#[must_use]
pub fn login_message(username: &str, timestamp: &str, nonce: &str) -> String {
    format!("login:{username}:{timestamp}:{nonce}")
}

/// What a refresh's `device_proof` signs.
#[must_use]
pub fn refresh_message(refresh_token: &str, timestamp: &str, nonce: &str) -> String {
    let digest = hex::encode(Sha256::digest(refresh_token.as_bytes()));
    format!("refresh:{digest}:{timestamp}:{nonce}")
}

/// A raw X25519 public key from standard base64 with padding; `None` unless it has 32 bytes.
#[must_use]
pub fn parse_public_key(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(PublicKey::from(bytes))
}

/// Standard base64 with padding of the raw 32 bytes.
#[must_use]
pub fn encode_public_key(key: &PublicKey) -> String {
    STANDARD.encode(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(seed: u8) -> (StaticSecret, PublicKey) {
        let secret = StaticSecret::from([seed; 32]);
        let public = PublicKey::from(&secret);
        (secret, public)
    }

    #[test]
    fn both_sides_agree_on_the_same_key() {
        let ((client, client_public), (server, server_public)) = (pair(1), pair(2));
        let here =
            DeviceKey::agree(&client, &server_public, &client_public, &server_public).unwrap();
        let there =
            DeviceKey::agree(&server, &client_public, &client_public, &server_public).unwrap();
        assert_eq!(here.as_bytes(), there.as_bytes());
        assert!(there.verify("m", &here.sign("m")));
        assert!(!there.verify("other", &here.sign("m")));
        assert!(!there.verify("m", &here.sign("m").to_uppercase()));
    }

    #[test]
    fn an_all_zero_shared_secret_is_refused() {
        let (server, server_public) = pair(2);
        let zero = PublicKey::from([0; 32]);
        assert!(DeviceKey::agree(&server, &zero, &zero, &server_public).is_none());
    }
}
