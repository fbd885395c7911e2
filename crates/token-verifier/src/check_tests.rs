//! Hostile tokens, line by line.

use std::sync::LazyLock;

use chrono::TimeDelta;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{ES256, HS256, JwsSigner, RS256};
use serde_json::json;

use super::*;

pub(super) const NOW: i64 = 1_700_000_000;
pub(super) const USER: &str = "6f1c1a52-3f8e-4d0c-9c76-0a4d3c1f2b10";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(2048).unwrap());

fn jwk() -> Value {
    let mut jwk = serde_json::to_value(PAIR.to_jwk_public_key()).unwrap();
    jwk["kid"] = "k1".into();
    jwk
}

pub(super) fn key() -> Key {
    Key::from_jwk(&jwk()).unwrap()
}

pub(super) fn header() -> Value {
    json!({ "alg": "RS256", "typ": "at+jwt", "kid": "k1" })
}

pub(super) fn payload() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": USER, "aud": "latchkey", "exp": NOW + 60,
        "iat": NOW, "nbf": NOW, "jti": "j1", "client_id": "app", "user_id": USER,
        "device_id": USER, "sid": USER, "auth_time": NOW, "amr": ["pwd"], "scope": "chat",
    })
}

fn encode(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn sign_text(header: &str, payload: &str) -> String {
    let message = encode(header, payload);
    let signer = RS256.signer_from_der(PAIR.to_der_private_key()).unwrap();
    let signature = signer.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn sign(header: &Value, payload: &Value) -> String {
    sign_text(&header.to_string(), &payload.to_string())
}

pub(super) fn policy(legacy: Option<Legacy>) -> Policy {
    Policy {
        issuer: "https://issuer.example".into(),
        audience: "latchkey".into(),
        leeway: TimeDelta::seconds(60),
        legacy,
    }
}

pub(super) fn check(token: &str) -> Result<AccessClaims, Reason> {
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    Unverified::parse(token)?.check(&key(), &policy(None), now)
}

pub(super) fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

pub(super) fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member);
    object
}

#[test]
fn a_good_token_is_accepted_in_every_lawful_form() {
    assert_eq!(check(&sign(&header(), &payload())).unwrap().jti, "j1");
    let long_type = with(header(), "typ", json!("application/AT+JWT"));
    assert!(check(&sign(&long_type, &payload())).is_ok());
    let audiences = with(payload(), "aud", json!(["other", "latchkey"]));
    assert!(check(&sign(&header(), &audiences)).is_ok());
    let within_leeway = with(with(payload(), "exp", json!(NOW - 59)), "nbf", json!(NOW + 60));
    assert!(check(&sign(&header(), &within_leeway)).is_ok());
}

#[test]
fn hostile_headers_are_refused() {
    for (member, value, reason) in [
        ("alg", json!("none"), Reason::Algorithm),
        ("alg", json!("HS256"), Reason::Algorithm),
        ("alg", json!("rs256"), Reason::Algorithm),
        ("alg", json!("ES256"), Reason::Algorithm),
        ("alg", json!(256), Reason::Algorithm),
        ("typ", json!("JWT"), Reason::TokenType),
        ("typ", json!(""), Reason::TokenType),
        ("kid", json!(""), Reason::KeyId),
        ("kid", json!("../k1"), Reason::KeyId),
        ("kid", json!("k".repeat(129)), Reason::KeyId),
        ("kid", json!("k2"), Reason::KeyId),
        ("crit", json!([]), Reason::ForbiddenHeader),
        ("crit", json!(["exp"]), Reason::ForbiddenHeader),
        ("b64", json!(false), Reason::ForbiddenHeader),
        ("jku", json!("http://evil.example"), Reason::ForbiddenHeader),
        ("x5u", json!("http://evil.example"), Reason::ForbiddenHeader),
        ("jwk", jwk(), Reason::ForbiddenHeader),
        ("x5c", json!([]), Reason::ForbiddenHeader),
    ] {
        let token = sign(&with(header(), member, value.clone()), &payload());
        assert_eq!(check(&token).unwrap_err(), reason, "{member}: {value}");
    }
    for member in ["alg", "typ", "kid"] {
        assert!(check(&sign(&without(header(), member), &payload())).is_err(), "{member}");
    }
}

#[test]
fn hostile_claims_are_refused() {
    for (member, value, reason) in [
        ("iss", json!("https://issuer.example/"), Reason::Issuer),
        ("aud", json!("other"), Reason::Audience),
        ("aud", json!([]), Reason::Audience),
        ("aud", json!([1]), Reason::Claims),
        ("sub", json!("somebody else"), Reason::Claims),
        ("user_id", json!("not a uuid"), Reason::Claims),
        ("exp", json!(NOW - 60), Reason::Expired),
        ("exp", json!(u64::MAX), Reason::Claims),
        ("exp", json!(-1), Reason::Claims),
        ("exp", json!(1.7e9), Reason::Claims),
        ("exp", json!("1700000060"), Reason::Claims),
        ("nbf", json!(NOW + 61), Reason::NotYetValid),
        ("iat", json!(NOW + 61), Reason::NotYetValid),
        ("iat", json!(i64::MAX), Reason::NotYetValid),
        ("jti", json!(""), Reason::Claims),
        ("amr", json!("pwd"), Reason::Claims),
        ("acr", json!(["urn:latchkey:acr:password"]), Reason::Claims),
    ] {
        let token = sign(&header(), &with(payload(), member, value.clone()));
        assert_eq!(check(&token).unwrap_err(), reason, "{member}: {value}");
    }
    for member in payload().as_object().unwrap().keys() {
        let token = sign(&header(), &without(payload(), member));
        assert_eq!(check(&token).unwrap_err(), Reason::Claims, "{member} missing");
    }
}

#[test]
fn dates_at_the_edge_of_64_bits_do_not_overflow() {
    assert!(check(&sign(&header(), &with(payload(), "exp", json!(i64::MAX)))).is_ok());
}

#[test]
fn duplicate_members_are_refused() {
    let payload = payload().to_string();
    let header = header().to_string();
    let doubled = payload.replacen('{', r#"{"sub":"x","#, 1);
    assert_eq!(check(&sign_text(&header, &doubled)).unwrap_err(), Reason::Malformed);
    let doubled = header.replacen('{', r#"{"kid":"k1","#, 1);
    assert_eq!(check(&sign_text(&doubled, &payload)).unwrap_err(), Reason::Malformed);
}

#[test]
fn anything_but_three_parts_of_base64url_is_refused() {
    let good = sign(&header(), &payload());
    let parts: Vec<&str> = good.split('.').collect();
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        parts[0].into(),
        parts[..2].join("."),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{}+/.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        r#"{"payload":"","signatures":[]}"#.into(),
    ] {
        assert!(check(&bad).is_err(), "{bad}");
    }
    assert_eq!(check(&"a".repeat(9000)).unwrap_err(), Reason::TooLarge);
}

#[test]
fn a_signature_holds_for_its_own_message_and_key_only() {
    let good = sign(&header(), &payload());
    let (message, _) = good.rsplit_once('.').unwrap();
    let other = sign(&header(), &with(payload(), "scope", json!("admin")));
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{message}.{signature}")).unwrap_err(), Reason::Signature);
    // The public key as an HMAC secret: the confusion that an algorithm pinned by the key rules out.
    let confused = with(header(), "alg", json!("HS256")).to_string();
    let message = encode(&confused, &payload().to_string());
    let signer = HS256.signer_from_bytes(PAIR.to_pem_public_key()).unwrap();
    let tag = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
    assert_eq!(check(&format!("{message}.{tag}")).unwrap_err(), Reason::Algorithm);
}

#[test]
fn weak_and_foreign_keys_are_refused() {
    use crate::key::KeyError;
    let weak = RsaKeyPair::generate(1024).unwrap();
    let mut weak = serde_json::to_value(weak.to_jwk_public_key()).unwrap();
    weak["kid"] = "k".into();
    assert_eq!(Key::from_jwk(&weak).unwrap_err(), KeyError::Strength);
    assert_eq!(Key::from_jwk(&with(jwk(), "e", json!("AQ"))).unwrap_err(), KeyError::Strength);
    assert_eq!(
        Key::from_jwk(&with(jwk(), "alg", json!("RS512"))).unwrap_err(),
        KeyError::Unsupported
    );
    assert_eq!(
        Key::from_jwk(&with(jwk(), "use", json!("enc"))).unwrap_err(),
        KeyError::Unsupported
    );
    assert_eq!(Key::from_jwk(&with(jwk(), "n", json!("!"))).unwrap_err(), KeyError::Malformed);
    assert_eq!(
        Key::from_jwk(&json!({ "kty": "oct", "k": "AA", "kid": "k" })).unwrap_err(),
        KeyError::Unsupported
    );
    assert_eq!(Key::from_jwk(&without(jwk(), "kid")).unwrap_err(), KeyError::Malformed);
}

#[test]
fn es256_keys_verify_their_tokens() {
    let pair = ES256.generate_key_pair().unwrap();
    let mut jwk = serde_json::to_value(pair.to_jwk_public_key()).unwrap();
    jwk["kid"] = "k1".into();
    let key = Key::from_jwk(&jwk).unwrap();
    let header = with(header(), "alg", json!("ES256")).to_string();
    let message = encode(&header, &payload().to_string());
    let signer = ES256.signer_from_jwk(&pair.to_jwk_private_key()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
    let token = format!("{message}.{signature}");
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    assert!(Unverified::parse(&token).unwrap().check(&key, &policy(None), now).is_ok());
}
