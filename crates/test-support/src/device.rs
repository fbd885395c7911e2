use common::device_key::{
    DeviceKey, encode_public_key, login_message, parse_public_key, refresh_message,
    session_id_message,
};
use serde_json::{Value, json};
use uuid::Uuid;
use x25519_dalek::{PublicKey, StaticSecret};

/// A device as an app has one: an id and a key that never leaves it.
#[derive(Clone)]
pub struct TestDevice {
    /// From the registration.
    pub id: String,
    key: DeviceKey,
}

/// The half of a key agreement that is sent.
pub struct Offer {
    secret: StaticSecret,
    /// Base64.
    pub public_key: String,
}

impl TestDevice {
    /// Begins an agreement.
    #[must_use]
    pub fn offer() -> Offer {
        let secret = StaticSecret::from(rand::random::<[u8; 32]>());
        let public_key = encode_public_key(&PublicKey::from(&secret));
        Offer { secret, public_key }
    }

    /// Ends it with the server's answer.
    ///
    /// # Panics
    /// If that is not as the contract says.
    #[must_use]
    pub fn agree(offer: &Offer, answer: &Value) -> Self {
        let server = parse_public_key(answer["server_public_key"].as_str().unwrap()).unwrap();
        let client = PublicKey::from(&offer.secret);
        let key = DeviceKey::agree(&offer.secret, &server, &client, &server).unwrap();
        Self { id: answer["device_id"].as_str().unwrap().to_owned(), key }
    }

    /// A login request whose proof holds at `now_ms`.
    #[must_use]
    pub fn login(&self, username: &str, password: &str, now_ms: i64) -> Value {
        let (timestamp, nonce) = (now_ms.to_string(), Uuid::new_v4().simple().to_string());
        json!({
            "username": username,
            "password": password,
            "device_id": self.id,
            "timestamp": timestamp,
            "nonce": nonce,
            "session_id": self.key.sign(&session_id_message(&self.id, &timestamp, &nonce)),
            "device_signature": self.key.sign(&login_message(username, &timestamp, &nonce)),
        })
    }

    /// A refresh request whose device proof holds at `now_ms`.
    #[must_use]
    pub fn refresh(&self, refresh_token: &str, now_ms: i64) -> Value {
        let (timestamp, nonce) = (now_ms.to_string(), Uuid::new_v4().simple().to_string());
        let signature = self.key.sign(&refresh_message(refresh_token, &timestamp, &nonce));
        let proof = json!({ "timestamp": timestamp, "nonce": nonce, "signature": signature });
        json!({ "refresh_token": refresh_token, "device_proof": proof })
    }
}
