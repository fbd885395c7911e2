//! Hostile tokens: each refused for the reason that it should be, all with the same answer, and
//! none making the verifier ask anybody for anything but a well-formed key id of its issuer.

mod forge;
mod properties;
mod rfc8725;
mod rfc9068;

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::test::read_body;
use token_verifier::{Refusal, is_kid};
use tokio::net::TcpListener;

use self::forge::{Forge, Hand, key_set, merge, plain_header, sign, sign_json};
use crate::extractor::{ask, header};
use crate::issuer::Issuer;
use crate::tokens::Subject;

/// Answers who is asked nothing: it only counts.
async fn is_left_alone(listener: &TcpListener) -> bool {
    let nothing = std::time::Duration::from_millis(1);
    tokio::time::timeout(nothing, listener.accept()).await.is_err()
}

/// What the issuer was asked for that a token may not make anybody ask.
fn oddly_asked(issuer: &Issuer) -> BTreeSet<String> {
    let asked = issuer.state.asked.lock().unwrap();
    let proper = |asked: &&String| match asked.split_once("?kid=") {
        Some((path, kid)) => path == "/.well-known/jwks.json" && is_kid(kid),
        None => ["/.well-known/jwks.json", "/.well-known/jwks/changes"].contains(&asked.as_str()),
    };
    asked.iter().filter(|asked| !proper(asked)).cloned().collect()
}

#[actix_web::test]
async fn every_hostile_token_is_refused_for_its_reason_and_with_the_same_answer() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", elsewhere.local_addr().unwrap());
    let issuer = Issuer::started(&key_set());
    let subject = Subject::of(&issuer).ready().await;
    let forge = Forge::of(&issuer.url(), &url);
    let mut rows = rfc8725::rows(&forge);
    rows.extend(rfc9068::rows(&forge));
    assert!(rows.len() > 150, "{}", rows.len());
    let mut answers = BTreeSet::new();
    for row in rows {
        let refusal = subject.verifier.verify(&row.token).await.unwrap_err();
        assert_eq!(refusal, Refusal::Invalid(row.reason), "{}: {}", row.rule, row.what);
        // Header values can't carry everything that a token can be.
        if row.token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            let answer = ask(&subject, &[&format!("Bearer {}", row.token)]).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{}: {}", row.rule, row.what);
            let challenge = header(&answer, &WWW_AUTHENTICATE);
            answers.insert((challenge, read_body(answer).await));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(oddly_asked(&issuer), BTreeSet::new());
    assert!(is_left_alone(&elsewhere).await);
}

#[actix_web::test]
async fn what_the_hostile_ones_are_made_from_is_accepted() {
    let issuer = Issuer::started(&key_set());
    let subject = Subject::of(&issuer).ready().await;
    let forge = Forge::of(&issuer.url(), "");
    let on_curve = serde_json::json!({ "alg": "ES256", "kid": "e1" });
    let on_curve = merge(plain_header(), on_curve).to_string();
    let further = serde_json::json!({ "x": { "y": [1, 2.5, null] }, "aud": ["a", "latchkey"] });
    for token in [
        sign_json(&plain_header(), &forge.payload()),
        forge.with_header(serde_json::json!({ "typ": "application/AT+JWT", "cty": "x" })),
        forge.with_claims(serde_json::json!({ "exp": forge.at(-58), "nbf": forge.at(58) })),
        forge.with_claims(further),
        sign(Hand::Curve, on_curve, forge.payload().to_string()),
    ] {
        assert_eq!(subject.verifier.verify(&token).await.unwrap().claims.jti, "j1");
    }
}
