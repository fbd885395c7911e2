//! Makes tokens that no honest issuer would.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::clock::Clock;
use josekit::jwk::alg::ec::EcKeyPair;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{ES256, HS256, JwsSigner, RS256};
use serde_json::{Value, json};
use token_verifier::Reason;

use crate::tokens::{PAIR, SESSION, USER, jwk};

/// A key that the issuer does not have.
static FOREIGN: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(2048).unwrap());
/// Published, and no use.
static WEAK: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(1024).unwrap());
static EC: LazyLock<EcKeyPair> = LazyLock::new(|| ES256.generate_key_pair().unwrap());

/// One line of the table.
pub struct Hostile {
    /// The rule that it would break.
    pub rule: &'static str,
    pub what: String,
    pub token: String,
    pub reason: Reason,
}

/// Knows whose tokens it has to look like.
pub struct Forge {
    issuer: String,
    /// Where nobody may be sent by a header.
    pub elsewhere: String,
    now: i64,
}

/// Who signs.
#[derive(Clone, Copy)]
pub enum Hand {
    /// `k1`, as the issuer does.
    Issuer,
    /// `e1`, on P-256.
    Curve,
    Foreign,
    Weak,
    Nobody,
}

/// What the issuer of these tests publishes.
pub fn key_set() -> Vec<Value> {
    let named = |mut jwk: Value, kid: &str| {
        jwk["kid"] = kid.into();
        jwk
    };
    let curve = serde_json::to_value(EC.to_jwk_public_key()).unwrap();
    let weak = serde_json::to_value(WEAK.to_jwk_public_key()).unwrap();
    let mut off_curve = named(curve.clone(), "off-curve");
    off_curve["y"] = off_curve["x"].clone();
    let mut exponent_of_one = jwk("exponent");
    exponent_of_one["e"] = "AQ".into();
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(b"secret"), "kid": "oct" });
    vec![jwk("k1"), named(curve, "e1"), named(weak, "weak"), off_curve, exponent_of_one, secret]
}

impl Forge {
    pub fn of(issuer: &str, elsewhere: &str) -> Self {
        let now = Clock::default().now().timestamp();
        Self { issuer: issuer.to_owned(), elsewhere: elsewhere.to_owned(), now }
    }

    /// The present, moved by so many seconds.
    pub fn at(&self, seconds: i64) -> Value {
        (self.now + seconds).into()
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn payload(&self) -> Value {
        json!({
            "iss": self.issuer, "sub": USER, "aud": "latchkey", "exp": self.at(3600),
            "iat": self.at(0), "nbf": self.at(0), "jti": "j1", "client_id": "app",
            "user_id": USER, "device_id": USER, "sid": SESSION, "auth_time": self.at(0),
            "amr": ["pwd"], "scope": "chat",
        })
    }

    /// With other members in the header.
    pub fn with_header(&self, members: Value) -> String {
        sign_json(&merge(plain_header(), members), &self.payload())
    }

    /// With other claims.
    pub fn with_claims(&self, members: Value) -> String {
        sign_json(&plain_header(), &merge(self.payload(), members))
    }

    /// A good token with another signature.
    pub fn with_signature(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let good = sign_json(&plain_header(), &self.payload());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        change(&mut signature);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The confusion of a public key with an HMAC secret.
    pub fn confused(&self, secret: &[u8]) -> String {
        let header = merge(plain_header(), json!({ "alg": "HS256" }));
        let message = message(header.to_string(), self.payload().to_string());
        let signer = HS256.signer_from_bytes(secret).unwrap();
        let tag = signer.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// `object` with `members` in the place of its own; null removes.
pub fn merge(mut object: Value, members: Value) -> Value {
    let target = object.as_object_mut().unwrap();
    let Value::Object(members) = members else { panic!("no object: {members}") };
    for (name, value) in members {
        if value.is_null() {
            target.remove(&name);
        } else {
            target.insert(name, value);
        }
    }
    object
}

/// What the issuer's tokens begin with.
pub fn plain_header() -> Value {
    json!({ "alg": "RS256", "typ": "at+jwt", "kid": "k1" })
}

/// Signs as the issuer does.
pub fn sign_json(header: &Value, payload: &Value) -> String {
    sign(Hand::Issuer, header.to_string(), payload.to_string())
}

pub fn message(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

/// Signs any bytes, JSON or not.
pub fn sign(hand: Hand, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = message(header, payload);
    let rsa = |pair: &RsaKeyPair| {
        let signer = RS256.signer_from_der(pair.to_der_private_key()).unwrap();
        signer.sign(message.as_bytes()).unwrap()
    };
    let signature = match hand {
        Hand::Issuer => rsa(&PAIR),
        Hand::Foreign => rsa(&FOREIGN),
        // josekit refuses to sign with so small a key, as it should.
        Hand::Weak => weakly(message.as_bytes()),
        Hand::Curve => {
            let signer = ES256.signer_from_jwk(&EC.to_jwk_private_key()).unwrap();
            signer.sign(message.as_bytes()).unwrap()
        }
        Hand::Nobody => Vec::new(),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn weakly(message: &[u8]) -> Vec<u8> {
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::sign::Signer;
    let key = PKey::private_key_from_der(&WEAK.to_der_private_key()).unwrap();
    Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(message).unwrap()
}
