//! JSON Web Token Best Current Practices, line by line: section 3 of RFC 8725.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use token_verifier::Reason;

use super::forge::{Forge, Hand, Hostile, merge, message, plain_header, sign, sign_json};
use crate::tokens::{PAIR, USER, jwk};

pub fn rows(forge: &Forge) -> Vec<Hostile> {
    [
        algorithms(forge),
        signatures(forge),
        published_keys(forge),
        encodings(forge),
        issuers_and_audiences(forge),
        received_headers(forge),
        types(forge),
        other_kinds(forge),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn row(rule: &'static str, what: impl Into<String>, token: String, reason: Reason) -> Hostile {
    Hostile { rule, what: what.into(), token, reason }
}

fn algorithms(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.1 perform algorithm verification";
    let mut rows: Vec<Hostile> = [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(""),
        json!("rs256"),
        json!("RS256 "),
        json!("RS256\u{0}"),
        json!("RS384"),
        json!("RS512"),
        json!("PS256"),
        json!("HS256"),
        json!("EdDSA"),
        json!("ES384"),
        json!("ES256"),
        json!(256),
        json!(["RS256"]),
        json!({}),
        Value::Bool(true),
    ]
    .into_iter()
    .map(|alg| {
        let token = forge.with_header(json!({ "alg": alg.clone() }));
        row(RULE, format!("alg {alg} over an RSA signature"), token, Reason::Algorithm)
    })
    .collect();
    let none = merge(plain_header(), json!({ "alg": "none" })).to_string();
    let unsigned = sign(Hand::Nobody, none, forge.payload().to_string());
    rows.push(row(RULE, "no signature, and it says so", unsigned, Reason::Algorithm));
    rows.push(row(
        RULE,
        "no algorithm",
        forge.with_header(json!({ "alg": null })),
        Reason::Algorithm,
    ));
    let curve = forge.with_header(json!({ "kid": "e1" }));
    rows.push(row(RULE, "RS256 under the id of a key on a curve", curve, Reason::Algorithm));
    let der = PAIR.to_der_public_key();
    let modulus = URL_SAFE_NO_PAD.decode(jwk("k1")["n"].as_str().unwrap()).unwrap();
    for (what, secret) in [("PEM", PAIR.to_pem_public_key()), ("DER", der), ("modulus", modulus)] {
        let what = format!("HMAC with the public key's {what} as its secret");
        rows.push(row(RULE, what, forge.confused(&secret), Reason::Algorithm));
    }
    let encrypted = merge(plain_header(), json!({ "alg": "RSA1_5", "enc": "A128CBC-HS256" }));
    let parts = format!("{}.AA.AA", message(encrypted.to_string(), "x"));
    let rule = "3.2 use appropriate algorithms";
    rows.push(row(rule, "a JWE in five parts", parts, Reason::Malformed));
    rows
}

fn signatures(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.3 validate all cryptographic operations";
    let (header, payload) = (plain_header().to_string(), forge.payload().to_string());
    let other = forge.with_claims(json!({ "scope": "admin" }));
    let borrowed = other.rsplit_once('.').unwrap().1;
    let curve = merge(plain_header(), json!({ "alg": "ES256", "kid": "e1" })).to_string();
    let on_curve = |signature: &[u8]| {
        format!("{}.{}", message(&curve, &payload), URL_SAFE_NO_PAD.encode(signature))
    };
    let good = sign(Hand::Curve, &curve, &payload);
    let raw = URL_SAFE_NO_PAD.decode(good.rsplit_once('.').unwrap().1).unwrap();
    let inner = sign_json(&plain_header(), &forge.payload());
    let nested = merge(plain_header(), json!({ "cty": "JWT" })).to_string();
    let signature = |what: &str, token: String| row(RULE, what, token, Reason::Signature);
    vec![
        signature("none at all", sign(Hand::Nobody, &header, &payload)),
        signature("of a stranger", sign(Hand::Foreign, &header, &payload)),
        signature("of another token", format!("{}.{borrowed}", message(&header, &payload))),
        signature("one bit turned", forge.with_signature(|bytes| bytes[100] ^= 1)),
        signature("cut short", forge.with_signature(|bytes| bytes.truncate(255))),
        signature("a zero before it", forge.with_signature(|bytes| bytes.insert(0, 0))),
        signature("a zero after it", forge.with_signature(|bytes| bytes.push(0))),
        signature("zeros", forge.with_signature(|bytes| bytes.fill(0))),
        signature(
            "a one, its own root",
            forge.with_signature(|bytes| {
                bytes.fill(0);
                bytes[255] = 1;
            }),
        ),
        signature("larger than the modulus", forge.with_signature(|bytes| bytes.fill(0xff))),
        signature("on the curve: zeros", on_curve(&[0; 64])),
        signature("on the curve: all ones", on_curve(&[0xff; 64])),
        signature("on the curve: half of it", on_curve(&raw[..32])),
        signature("on the curve: DER", on_curve(&[&[0x30, 0x44, 0x02, 0x20][..], &raw].concat())),
        row(RULE, "a token in a token", sign(Hand::Issuer, nested, inner), Reason::Malformed),
    ]
}

fn published_keys(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.4 validate cryptographic inputs";
    let payload = forge.payload().to_string();
    let of = |kid: &str| merge(plain_header(), json!({ "kid": kid }));
    let curve = merge(of("off-curve"), json!({ "alg": "ES256" })).to_string();
    let secret = merge(of("oct"), json!({ "alg": "HS256" })).to_string();
    let unknown = |what: &str, token: String| row(RULE, what, token, Reason::UnknownKey);
    vec![
        unknown("a point off the curve", sign(Hand::Curve, curve, &payload)),
        unknown("an exponent of one", sign(Hand::Issuer, of("exponent").to_string(), &payload)),
        unknown("1024 bits", sign(Hand::Weak, of("weak").to_string(), &payload)),
        unknown("a secret for a public key", sign(Hand::Issuer, of("oct").to_string(), &payload)),
        row(
            "3.5 ensure keys have sufficient entropy",
            "a guessable secret",
            sign(Hand::Nobody, secret, &payload),
            Reason::Algorithm,
        ),
    ]
}

fn encodings(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.7 use UTF-8";
    let (header, payload) = (plain_header().to_string(), forge.payload().to_string());
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let broken = payload.replace("chat", "ch\u{1}t").into_bytes();
    let broken: Vec<u8> = broken.iter().map(|byte| if *byte == 1 { 0xff } else { *byte }).collect();
    let lone = payload.replace("chat", "\\ud800");
    let raw_control = payload.replace("chat", "ch\nat");
    // What deflate makes of an empty object.
    let compressed = merge(plain_header(), json!({ "zip": "DEF" })).to_string();
    let malformed = |what: &str, token: String| row(RULE, what, token, Reason::Malformed);
    vec![
        malformed("claims in UTF-16", sign(Hand::Issuer, &header, wide(&payload))),
        malformed("a header in UTF-16", sign(Hand::Issuer, wide(&header), &payload)),
        malformed("a byte order mark", sign(Hand::Issuer, &header, format!("\u{feff}{payload}"))),
        malformed("no UTF-8", sign(Hand::Issuer, &header, broken)),
        malformed("half of a surrogate pair", sign(Hand::Issuer, &header, lone)),
        malformed("a line feed in a string", sign(Hand::Issuer, &header, raw_control)),
        row(
            "3.6 avoid compression",
            "compressed claims",
            sign(Hand::Issuer, compressed, [0xab, 0xae, 0x05, 0x00]),
            Reason::Malformed,
        ),
    ]
}

fn issuers_and_audiences(forge: &Forge) -> Vec<Hostile> {
    const ISSUER: &str = "3.8 validate issuer and subject";
    const AUDIENCE: &str = "3.9 use and validate audience";
    let issuer = forge.issuer().to_owned();
    let other_user = USER.replace('6', "7");
    [
        ("iss", json!(format!("{issuer}/")), Reason::Issuer),
        ("iss", json!(issuer.to_uppercase()), Reason::Issuer),
        ("iss", json!(format!("{issuer}@evil.example")), Reason::Issuer),
        ("iss", json!("https://evil.example"), Reason::Issuer),
        ("iss", json!(""), Reason::Issuer),
        ("iss", json!([issuer]), Reason::Claims),
        ("iss", Value::Null, Reason::Claims),
        ("sub", json!(other_user), Reason::Claims),
        ("sub", json!(USER.to_uppercase()), Reason::Claims),
        ("sub", json!(""), Reason::Claims),
        ("sub", json!(7), Reason::Claims),
        ("sub", Value::Null, Reason::Claims),
        ("aud", json!("other"), Reason::Audience),
        ("aud", json!("latchkey2"), Reason::Audience),
        ("aud", json!("Latchkey"), Reason::Audience),
        ("aud", json!(""), Reason::Audience),
        ("aud", json!([]), Reason::Audience),
        ("aud", json!(["other", "latchkey "]), Reason::Audience),
        ("aud", json!(["latchkey", 1]), Reason::Claims),
        ("aud", json!({ "latchkey": true }), Reason::Claims),
        ("aud", Value::Null, Reason::Claims),
    ]
    .into_iter()
    .map(|(name, value, reason)| {
        let rule = if name == "aud" { AUDIENCE } else { ISSUER };
        let mut claims = json!({});
        claims[name] = value.clone();
        row(rule, format!("{name} {value}"), forge.with_claims(claims), reason)
    })
    .collect()
}

fn received_headers(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.10 do not trust received claims";
    let long = "k".repeat(129);
    let url = forge.elsewhere.as_str();
    let mut rows: Vec<Hostile> = [
        "",
        "../../k1",
        "k1/../k1",
        "/dev/null",
        "k1' OR '1'='1",
        "k1\u{0}",
        "k1\r\nHost: x",
        "k1&kid=e1",
        "k1%00",
        "k1.",
        "ключ",
        url,
        &long,
    ]
    .into_iter()
    .map(|kid| {
        let token = forge.with_header(json!({ "kid": kid }));
        row(RULE, format!("kid {kid:?}"), token, Reason::KeyId)
    })
    .collect();
    for kid in [json!(1), json!(["k1"]), json!({ "k1": 1 }), Value::Null] {
        let what = format!("kid {kid}");
        rows.push(row(RULE, what, forge.with_header(json!({ "kid": kid })), Reason::KeyId));
    }
    let unknown = forge.with_header(json!({ "kid": "K1" }));
    rows.push(row(RULE, "another key's id", unknown, Reason::UnknownKey));
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", jwk("k1")),
        ("x5c", json!(["AA"])),
        ("x5t", json!("AA")),
        ("x5t#S256", json!("AA")),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(true)),
        ("b64", json!(false)),
    ] {
        let mut members = json!({});
        members[name] = value.clone();
        let token = forge.with_header(members);
        rows.push(row(RULE, format!("{name} {value}"), token, Reason::ForbiddenHeader));
    }
    rows
}

fn types(forge: &Forge) -> Vec<Hostile> {
    [
        json!("JWT"),
        json!("jwt"),
        json!("at+jwt "),
        json!("at"),
        json!("application/jwt"),
        json!("application/application/at+jwt"),
        json!("text/at+jwt"),
        json!(""),
        json!(7),
        json!(["at+jwt"]),
        Value::Null,
    ]
    .into_iter()
    .map(|typ| {
        let token = forge.with_header(json!({ "typ": typ.clone() }));
        row("3.11 use explicit typing", format!("typ {typ}"), token, Reason::TokenType)
    })
    .collect()
}

fn other_kinds(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "3.12 mutually exclusive rules for different kinds of tokens";
    let id_token = merge(forge.payload(), json!({ "nonce": "n", "aud": "app" }));
    let logout_token = merge(
        forge.payload(),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
    );
    let header = |typ: &str| merge(plain_header(), json!({ "typ": typ }));
    let proof = merge(header("dpop+jwt"), json!({ "jwk": jwk("k1") }));
    let kind = |what: &str, token: String, reason| row(RULE, what, token, reason);
    vec![
        kind("an id token", sign_json(&header("JWT"), &id_token), Reason::TokenType),
        kind("a logout token", sign_json(&header("logout+jwt"), &logout_token), Reason::TokenType),
        kind("a DPoP proof", sign_json(&proof, &forge.payload()), Reason::ForbiddenHeader),
        kind("a refresh token", format!("lkr_{}", "A".repeat(90)), Reason::Malformed),
    ]
}
