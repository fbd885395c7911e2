//! The profile for access tokens (RFC 9068), and the forms below it (RFC 7515, RFC 7519).

use serde_json::{Value, json};
use token_verifier::Reason;

use super::forge::{Forge, Hand, Hostile, plain_header, sign, sign_json};

pub fn rows(forge: &Forge) -> Vec<Hostile> {
    [missing_claims(forge), odd_claims(forge), times(forge), duplicates(forge), forms(forge)]
        .into_iter()
        .flatten()
        .collect()
}

fn row(rule: &'static str, what: impl Into<String>, token: String, reason: Reason) -> Hostile {
    Hostile { rule, what: what.into(), token, reason }
}

fn changed(forge: &Forge, rule: &'static str, lines: Vec<(&str, Value, Reason)>) -> Vec<Hostile> {
    lines
        .into_iter()
        .map(|(name, value, reason)| {
            let mut claims = json!({});
            claims[name] = value.clone();
            row(rule, format!("{name} {value}"), forge.with_claims(claims), reason)
        })
        .collect()
}

fn missing_claims(forge: &Forge) -> Vec<Hostile> {
    let payload = forge.payload();
    let names = payload.as_object().unwrap().keys();
    let lines = names.map(|name| (name.as_str(), Value::Null, Reason::Claims)).collect();
    changed(forge, "9068 2.2 required claims", lines)
}

fn odd_claims(forge: &Forge) -> Vec<Hostile> {
    let lines = [
        ("jti", json!("")),
        ("jti", json!(1)),
        ("client_id", json!(["app"])),
        ("user_id", json!("nobody")),
        ("device_id", json!("")),
        ("sid", json!(true)),
        ("amr", json!("pwd")),
        ("amr", json!([1])),
        ("scope", json!(["chat"])),
        ("scope", json!({})),
        ("auth_time", json!("now")),
    ];
    let lines = lines.map(|(name, value)| (name, value, Reason::Claims));
    changed(forge, "9068 2.2 forms of claims", lines.into())
}

fn times(forge: &Forge) -> Vec<Hostile> {
    let text = forge.at(3600).to_string();
    changed(
        forge,
        "9068 4 and 7519 4.1.4 to 4.1.6 times",
        vec![
            ("exp", forge.at(-3600), Reason::Expired),
            ("exp", forge.at(-60), Reason::Expired),
            ("exp", json!(0), Reason::Expired),
            ("exp", json!(-1), Reason::Claims),
            ("exp", json!(i64::MIN), Reason::Claims),
            ("exp", json!(u64::MAX), Reason::Claims),
            ("exp", json!(1e300), Reason::Claims),
            ("exp", json!(4_000_000_000.5), Reason::Claims),
            ("exp", json!(text), Reason::Claims),
            ("exp", json!([]), Reason::Claims),
            ("nbf", forge.at(3600), Reason::NotYetValid),
            ("nbf", json!(i64::MAX), Reason::NotYetValid),
            ("nbf", json!(1.5), Reason::Claims),
            ("iat", forge.at(3600), Reason::NotYetValid),
            ("iat", json!(i64::MAX), Reason::NotYetValid),
            ("iat", json!(-1), Reason::Claims),
            ("iat", json!(false), Reason::Claims),
        ],
    )
}

fn duplicates(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "7515 4 and 7519 4 unique members";
    let (header, payload) = (plain_header().to_string(), forge.payload().to_string());
    let twice = |what: &str, header: &str, payload: &str| {
        row(RULE, what, sign(Hand::Issuer, header, payload), Reason::Malformed)
    };
    vec![
        twice("kid twice", &header.replacen('{', r#"{"kid":"e1","#, 1), &payload),
        twice("alg twice", &header.replacen('}', r#","alg":"none"}"#, 1), &payload),
        twice("sub twice", &header, &payload.replacen('{', r#"{"sub":"x","#, 1)),
        twice("exp twice, escaped", &header, &payload.replacen('{', r#"{"\u0065xp":9,"#, 1)),
        twice("twice in depth", &header, &payload.replacen('{', r#"{"x":[{"a":1,"a":1}],"#, 1)),
    ]
}

fn forms(forge: &Forge) -> Vec<Hostile> {
    const RULE: &str = "7515 3.1 and 7 compact serialisation";
    let good = sign_json(&plain_header(), &forge.payload());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let json = json!({ "payload": payload, "protected": header, "signature": signature });
    let nested = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    let trailing = last_letter_changed(signature);
    let malformed = |what: &str, token: String| row(RULE, what, token, Reason::Malformed);
    vec![
        malformed("nothing", String::new()),
        malformed("dots alone", "..".to_owned()),
        malformed("one part", header.to_owned()),
        malformed("two parts", format!("{header}.{payload}")),
        malformed("four parts", format!("{good}.{signature}")),
        malformed("an empty header", format!(".{payload}.{signature}")),
        malformed("the JSON serialisation", json.to_string()),
        malformed("padding", format!("{good}==")),
        malformed("a blank after it", format!("{good} ")),
        malformed("a blank before it", format!(" {good}")),
        malformed("base64 of the other kind", format!("{header}.{payload}.+/{}", &signature[2..])),
        malformed("bits after the last byte", format!("{header}.{payload}.{trailing}")),
        malformed("a list for a header", sign(Hand::Issuer, "[]", "{}")),
        malformed("a string for a header", sign(Hand::Issuer, r#""RS256""#, "{}")),
        malformed(
            "text after the header",
            sign(Hand::Issuer, format!("{} x", plain_header()), "{}"),
        ),
        malformed("a list for claims", sign(Hand::Issuer, plain_header().to_string(), "[]")),
        malformed("no claims", sign(Hand::Issuer, plain_header().to_string(), "")),
        malformed("claims in depth", sign(Hand::Issuer, plain_header().to_string(), nested)),
        // Nothing is read of claims that nobody signed.
        row(
            RULE,
            "a line feed within",
            format!("{header}.\n{payload}.{signature}"),
            Reason::Signature,
        ),
        row(RULE, "9 KiB", good.clone() + &"A".repeat(9216), Reason::TooLarge),
    ]
}

/// The last letter of 256 bytes in base64url carries two bits; the other four have to be zero.
fn last_letter_changed(signature: &str) -> String {
    let (start, last) = signature.split_at(signature.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    format!("{start}{next}")
}
