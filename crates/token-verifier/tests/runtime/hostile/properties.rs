//! What holds for every token, however odd.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use common::clock::Clock;
use proptest::prelude::*;
use serde_json::{Map, Value};
use token_verifier::{Key, Policy, Reason, Refusal, Unverified, is_kid};

use super::forge::{Forge, Hand, message, plain_header, sign, sign_json};
use super::oddly_asked;
use crate::issuer::Issuer;
use crate::tokens::{Subject, jwk};

const ISSUER: &str = "http://issuer.example";

fn judge(token: &str) -> Result<(), Reason> {
    let policy = Policy {
        issuer: ISSUER.to_owned(),
        audience: "latchkey".to_owned(),
        leeway: TimeDelta::minutes(1),
        legacy: None,
    };
    let key = Key::from_jwk(&jwk("k1")).unwrap();
    Unverified::parse(token)?.check(&key, &policy, Clock::default().now()).map(|_| ())
}

/// Any JSON, in depth, with the names of a token's members among its own.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "(RS256|ES256|none|k1|at\\+jwt|latchkey|[A-Za-z0-9_-]{1,8})".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = "(alg|typ|kid|crit|jku|iss|sub|aud|exp|nbf|iat|jti|sid|amr|scope|.{0,6})";
    prop::collection::btree_map(name, value, 0..8).prop_map(|map| map.into_iter().collect())
}

/// Up to three parts of anything, and tokens whose parts are of the right form.
fn token() -> impl Strategy<Value = String> {
    let object = || members(json()).prop_map(|map| Value::from(map).to_string());
    prop_oneof![
        ".{0,80}",
        "[A-Za-z0-9_.-]{0,80}",
        (object(), object(), prop::collection::vec(any::<u8>(), 0..70)).prop_map(
            |(header, payload, signature)| {
                let signature = URL_SAFE_NO_PAD.encode(signature);
                format!("{}.{signature}", message(header, payload))
            }
        ),
        "[A-Za-z0-9_-]{1,20}".prop_map(|kid| {
            let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}"}}"#);
            format!("{}.AAAA", message(header, "{}"))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_not_signed_is_refused_without_panic(token in token()) {
        prop_assert!(judge(&token).is_err());
    }

    #[test]
    fn what_parses_has_a_key_id_of_the_right_form(token in token()) {
        if let Ok(unverified) = Unverified::parse(&token) {
            prop_assert!(is_kid(unverified.kid()));
        }
    }
}

proptest! {
    // Each case is signed.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn claims_of_any_form_are_judged_without_panic(changes in members(json())) {
        let forge = Forge::of(ISSUER, "");
        let mut payload = forge.payload();
        let known = changes.keys().any(|name| payload.get(name).is_some());
        payload.as_object_mut().unwrap().extend(changes);
        let verdict = judge(&sign_json(&plain_header(), &payload));
        prop_assert!(known || verdict.is_ok(), "{verdict:?}");
    }

    #[test]
    fn headers_of_any_form_are_judged_without_panic(changes in members(json())) {
        let forge = Forge::of(ISSUER, "");
        let mut header = plain_header();
        header.as_object_mut().unwrap().extend(changes);
        let token = sign(Hand::Issuer, header.to_string(), forge.payload().to_string());
        if judge(&token).is_ok() {
            prop_assert_eq!(&header["alg"], "RS256");
            prop_assert_eq!(&header["kid"], "k1");
            prop_assert!(header.get("crit").is_none() && header.get("jku").is_none());
        }
    }

    #[test]
    fn no_letter_of_a_token_can_be_changed(place in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]") {
        let forge = Forge::of(ISSUER, "");
        let good = sign_json(&plain_header(), &forge.payload());
        let place = place.index(good.len());
        let changed = format!("{}{letter}{}", &good[..place], &good[place + 1..]);
        prop_assert_eq!(judge(&changed).is_ok(), changed == good);
    }
}

#[actix_web::test]
async fn nothing_makes_the_verifier_ask_for_what_is_no_key_id() {
    use proptest::strategy::ValueTree as _;
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..500 {
        let token = token().new_tree(&mut runner).unwrap().current();
        let verdict = subject.verifier.verify(&token).await;
        // Too many new ids at once are more than the verifier asks for.
        assert!(
            matches!(verdict, Err(Refusal::Invalid(_) | Refusal::CannotJudge)),
            "{token}: {verdict:?}"
        );
    }
    assert!(issuer.state.asked.lock().unwrap().len() > 50);
    assert_eq!(oddly_asked(&issuer), BTreeSet::new());
}
