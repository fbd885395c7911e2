//! What must hold for any bytes. The fuzz targets call it, and so does a test of the verifier's,
//! with the corpus.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use josekit::jwk::alg::ec::EcKeyPair;
use josekit::jws::{ES256, JwsSigner as _};
use serde_json::Value;
use token_verifier::{Key, Policy, Reason, Unverified, is_kid};

/// The time at which tokens are judged, Unix seconds.
const NOW: i64 = 1_700_000_000;

/// On a curve, since that signs ten times as fast.
static PAIR: LazyLock<EcKeyPair> =
    LazyLock::new(|| ES256.generate_key_pair().expect("a key pair can be made"));

static KEY: LazyLock<Key> = LazyLock::new(|| {
    let mut jwk = serde_json::to_value(PAIR.to_jwk_public_key()).expect("a key is JSON");
    jwk["kid"] = "k1".into();
    Key::from_jwk(&jwk).expect("a good key")
});

fn judge(token: &str) -> Result<(), Reason> {
    let policy = Policy {
        issuer: "https://issuer.example".to_owned(),
        audience: "latchkey".to_owned(),
        leeway: TimeDelta::minutes(1),
        legacy: None,
    };
    let now = DateTime::from_timestamp(NOW, 0).expect("a time of this century");
    Unverified::parse(token)?.check(&KEY, &policy, now).map(|_| ())
}

/// Whatever a caller sends is refused, and names at most a key of the right form.
pub fn check_token(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    if let Ok(unverified) = Unverified::parse(token) {
        assert!(is_kid(unverified.kid()));
    }
    assert!(judge(token).is_err());
}

/// A header and claims, apart by a line feed, under a good signature: accepted only as they
/// should be.
pub fn check_signed(bytes: &[u8]) {
    let Some(cut) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (header, payload) = (&bytes[..cut], &bytes[cut + 1..]);
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(payload));
    let signer = ES256.signer_from_jwk(&PAIR.to_jwk_private_key()).expect("a good key");
    let signature = signer.sign(message.as_bytes()).expect("a good key signs");
    if judge(&format!("{message}.{}", encode(&signature))).is_ok() {
        let header: Value = serde_json::from_slice(header).expect("what is accepted is JSON");
        let claims: Value = serde_json::from_slice(payload).expect("what is accepted is JSON");
        assert!(header["alg"] == "ES256" && header["kid"] == "k1" && header["crit"].is_null());
        assert!(claims["iss"] == "https://issuer.example" && claims["sub"] == claims["user_id"]);
        assert!(claims["exp"].as_i64().is_some_and(|exp| exp > NOW - 60));
    }
}

/// Whatever a key server answers is a key of a kind and strength that we take, or an error.
pub fn check_jwk(bytes: &[u8]) {
    let Ok(jwk) = serde_json::from_slice::<Value>(bytes) else { return };
    if Key::from_jwk(&jwk).is_ok() {
        assert!(jwk["kid"].is_string());
        assert!(jwk["kty"] == "RSA" || jwk["crv"] == "P-256");
    }
}
