use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example/realms/a";
const NOW: i64 = 1_800_000_000;

fn expected(header_type: &str) -> Expected<'_> {
    Expected { issuer: ISSUER, header_type, now: DateTime::from_timestamp(NOW, 0).unwrap() }
}

/// The claims with some of them replaced, or taken out where null.
fn with(mut claims: Value, changes: &Value) -> Map<String, Value> {
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    members.clone()
}

fn access(changes: &Value) -> Result<Introspection, Wrong> {
    let claims = json!({
        "iss": ISSUER, "sub": "s", "azp": "login", "sid": "abc", "typ": "Bearer",
        "iat": NOW - 10, "exp": NOW + 300, "scope": "openid",
    });
    check_access(&with(claims, changes), expected("JWT"))
}

fn id(changes: &Value) -> Result<IdClaims, Wrong> {
    let claims = json!({
        "iss": ISSUER, "sub": "s", "aud": "login", "azp": "login", "sid": "abc", "typ": "ID",
        "iat": NOW - 10, "exp": NOW + 300, "nonce": "n",
    });
    check_id(&with(claims, changes), expected("JWT"), "login", "n")
}

fn logout(changes: &Value) -> Result<LogoutClaims, Wrong> {
    let claims = json!({
        "iss": ISSUER, "aud": ["other", "login"], "iat": NOW - 10, "exp": NOW + 60, "jti": "j",
        "sub": "s", "sid": "abc", "events": { LOGOUT_EVENT: {} },
    });
    let clients = ["login", "offline"];
    check_logout(&with(claims, changes), expected("logout+jwt"), clients.into_iter())
}

#[test]
fn an_access_token_says_whose_it_is() {
    let token = access(&json!({})).unwrap();
    assert_eq!((token.subject.as_str(), token.client_id.as_str()), ("s", "login"));
    assert_eq!(token.session_state_id.as_deref(), Some("abc"));
    assert_eq!(token.expires_at.timestamp(), NOW + 300);
    assert!(access(&json!({ "exp": NOW - 59 })).is_ok());
}

#[test]
fn what_is_no_access_token_of_this_issuer_now_is_refused() {
    for (changes, why) in [
        (json!({ "iss": "https://id.example/realms/b" }), "another issuer's"),
        (json!({ "iss": null }), "another issuer's"),
        (json!({ "exp": NOW - 60 }), "expired"),
        (json!({ "exp": null }), "exp missing"),
        (json!({ "exp": 1.8e9 + 0.5 }), "exp missing"),
        (json!({ "exp": i64::MAX }), "exp missing"),
        (json!({ "iat": NOW + 61 }), "not yet valid"),
        (json!({ "nbf": NOW + 61 }), "not yet valid"),
        (json!({ "typ": "ID" }), "not an access token"),
        (json!({ "typ": "Refresh" }), "not an access token"),
        (json!({ "typ": "Logout" }), "not an access token"),
        (json!({ "sub": null }), "sub, azp or exp missing"),
    ] {
        assert_eq!(access(&changes).unwrap_err(), why, "{changes}");
    }
}

#[test]
fn an_issuer_that_names_no_type_is_asked_for_at_jwt_or_a_scope() {
    assert!(access(&json!({ "typ": null })).is_ok());
    assert!(access(&json!({ "typ": null, "nonce": "n" })).is_err());
    assert!(access(&json!({ "typ": null, "scope": null })).is_err());
    let claims = with(
        json!({}),
        &json!({
            "iss": ISSUER, "sub": "s", "client_id": "login", "exp": NOW + 300,
        }),
    );
    assert!(check_access(&claims, expected("application/at+JWT")).is_ok());
}

#[test]
fn an_id_token_belongs_to_its_client_and_its_nonce() {
    assert_eq!(id(&json!({})).unwrap().subject, "s");
    assert!(id(&json!({ "aud": ["login", "other"], "typ": null, "azp": null })).is_ok());
    for (changes, why) in [
        (json!({ "aud": "other" }), "for another audience"),
        (json!({ "aud": null }), "for another audience"),
        (json!({ "azp": "other" }), "for another client"),
        (json!({ "nonce": "m" }), "another nonce"),
        (json!({ "nonce": null }), "another nonce"),
        (json!({ "typ": "Bearer" }), "not an id token"),
        (json!({ "iss": "x" }), "another issuer's"),
        (json!({ "sub": "" }), "sub missing"),
    ] {
        assert_eq!(id(&changes).unwrap_err(), why, "{changes}");
    }
}

#[test]
fn a_logout_token_is_heard_by_the_clients_it_is_for() {
    let token = logout(&json!({})).unwrap();
    assert_eq!((token.jti.as_str(), token.revoke_offline_access), ("j", false));
    assert!(logout(&json!({ "aud": "offline", "sub": null })).is_ok());
    assert!(logout(&json!({ "sid": null })).is_ok());
    let without = logout(&json!({ "exp": null })).unwrap();
    assert_eq!(without.expires_at.timestamp(), NOW - 10 + 600);
    let asked = json!({ LOGOUT_EVENT: {}, "revoke_offline_access": true });
    assert!(logout(&json!({ "events": asked })).unwrap().revoke_offline_access);
}

#[test]
fn what_is_no_logout_token_is_refused() {
    for (changes, why) in [
        (json!({ "events": null }), "events missing"),
        (json!({ "events": { "http://example.com": {} } }), "another event"),
        (json!({ "events": { LOGOUT_EVENT: true } }), "another event"),
        (json!({ "nonce": "n" }), "has a nonce"),
        (json!({ "jti": null }), "jti missing"),
        (json!({ "iat": null }), "iat missing"),
        (json!({ "exp": NOW - 60 }), "expired"),
        (json!({ "iat": NOW - 660, "exp": null }), "expired"),
        (json!({ "sub": null, "sid": null }), "neither sub nor sid"),
        (json!({ "aud": "account" }), "for another audience"),
        (json!({ "iss": "x" }), "another issuer's"),
    ] {
        assert_eq!(logout(&changes).unwrap_err(), why, "{changes}");
    }
    let claims = Map::new();
    let refused = check_logout(&claims, expected("at+jwt"), ["login"].into_iter());
    assert_eq!(refused.unwrap_err(), "not a logout token");
}
