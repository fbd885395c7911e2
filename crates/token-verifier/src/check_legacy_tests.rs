//! Tokens of before a migration, in the time that they have.

use serde_json::json;

use super::tests::{NOW, USER, check, header, key, payload, policy, sign, with, without};
use super::*;

fn check_legacy_token(token: &str, now: i64) -> Result<AccessClaims, Reason> {
    let until = DateTime::from_timestamp(NOW + 600, 0).unwrap();
    let policy = policy(Some(Legacy { until, issuer: Some("older-issuer".into()) }));
    Unverified::parse(token)?.check(&key(), &policy, DateTime::from_timestamp(now, 0).unwrap())
}

fn check_legacy(header: &Value, payload: &Value, now: i64) -> Result<AccessClaims, Reason> {
    check_legacy_token(&sign(header, payload), now)
}

#[test]
fn an_older_token_is_accepted_for_a_time_in_all_that_it_lacks() {
    let older = json!({ "iss": "older-issuer", "sub": USER, "exp": NOW + 7200, "iat": NOW });
    for header in [without(header(), "typ"), with(header(), "typ", json!("JWT"))] {
        assert_eq!(check(&sign(&header, &older)), Err(Reason::TokenType));
        let claims = check_legacy(&header, &older, NOW).unwrap();
        assert_eq!(claims.user_id.to_string(), USER);
        // With the leeway, the profile's end.
        assert_eq!(claims.exp, NOW + 540);
        assert!(check_legacy(&header, &older, NOW + 599).is_ok());
        assert_eq!(check_legacy(&header, &older, NOW + 600), Err(Reason::TokenType));
    }
    assert_eq!(check_legacy(&header(), &older, NOW), Err(Reason::Claims));
    assert!(check_legacy(&header(), &payload(), NOW).is_ok());
}

#[test]
fn an_older_token_is_never_spared_what_it_must_have_or_has_wrong() {
    let header = with(header(), "typ", json!("JWT"));
    let older = payload();
    let refused = |payload: &Value| check_legacy(&header, payload, NOW).unwrap_err();
    for name in ["iss", "exp"] {
        assert_eq!(refused(&without(older.clone(), name)), Reason::Claims, "{name}");
    }
    assert_eq!(refused(&without(without(older.clone(), "sub"), "user_id")), Reason::Claims);
    for (name, value, reason) in [
        ("iss", json!("https://other.example"), Reason::Issuer),
        ("aud", json!("other"), Reason::Audience),
        ("aud", json!(7), Reason::Claims),
        ("exp", json!(NOW - 60), Reason::Expired),
        ("exp", json!("soon"), Reason::Claims),
        ("nbf", json!(NOW + 61), Reason::NotYetValid),
        ("sub", json!("00000000-0000-4000-8000-00000000ffff"), Reason::Claims),
        ("sid", json!("mine"), Reason::Claims),
        ("device_id", json!(null), Reason::Claims),
    ] {
        assert_eq!(refused(&with(older.clone(), name, value)), reason, "{name}");
    }
    let forged = format!("{}.AAAA", sign(&header, &older).rsplit_once('.').unwrap().0);
    assert_eq!(check_legacy_token(&forged, NOW), Err(Reason::Signature));
}
