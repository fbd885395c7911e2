//! Logout tokens with one thing wrong with each, signed by the realm's own key.

use reqwest::Method;
use serde_json::{Map, Value, json};
use test_support::{Browser, TestRealm};
use uuid::Uuid;

use crate::realm_keys::SharedKey;
use crate::service::{App, data, text};
use crate::world::LOGIN;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A good one of this session, with some claims replaced, or taken out where null.
fn claims(app: &App, session: &str, changes: &Value) -> Value {
    let now = app.clock.now().timestamp();
    let mut claims = json!({
        "iss": app.realm.issuer(), "aud": LOGIN, "iat": now, "exp": now + 60, "sid": session,
        "jti": Uuid::new_v4(), "events": { EVENT: {} },
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(changes.as_object().cloned().unwrap_or_else(Map::new));
    members.retain(|_, value| !value.is_null());
    claims
}

#[tokio::test]
async fn each_claim_that_is_wrong_is_enough_to_refuse_it() {
    let realm = TestRealm::create(&json!({})).await;
    let key = SharedKey::import(&realm).await;
    let app = App::start(realm, "").await;
    let (user, now) = (app.realm.create_user().await, app.clock.now().timestamp());
    let ended = app.sign_in(&Browser::new(), "", &user).await;
    let watcher = app.sign_in(&Browser::new(), "", &user).await;
    let (session, watcher) = (text(&ended, "session_state_id"), text(&watcher, "access_token"));
    let good = |changes: &Value| claims(&app, &session, changes);
    for changes in [
        json!({ "iss": "https://id.example" }),
        json!({ "iss": null }),
        json!({ "aud": "account" }),
        json!({ "aud": null }),
        json!({ "events": null }),
        json!({ "events": { "http://schemas.openid.net/event/other": {} } }),
        json!({ "nonce": "a nonce" }),
        json!({ "iat": null }),
        json!({ "iat": now + 600, "exp": now + 660 }),
        json!({ "iat": now - 700, "exp": now - 600 }),
        json!({ "iat": now - 86_400, "exp": null }),
        json!({ "jti": null }),
        json!({ "sid": null }),
    ] {
        let token = key.sign("logout+jwt", &good(&changes));
        let refused = app.post_logout_token(&token).await.expect_error(400, "invalid_request");
        assert_eq!(refused.json["details"]["field"], "logout_token", "{changes}");
    }
    let whole = good(&json!({}));
    for token in [
        key.sign("at+jwt", &whole),
        key.sign("dpop+jwt", &whole),
        key.forged().sign("logout+jwt", &whole),
        format!("{}.", key.sign("logout+jwt", &whole).rsplit_once('.').unwrap().0),
    ] {
        app.post_logout_token(&token).await.expect_error(400, "invalid_request");
    }
    let path = format!("/sessions/{}", text(&ended, "session_id"));
    let shown = data(&app.ask(Method::GET, &path, &watcher).await.expect(200));
    assert_eq!(shown["active"], true);

    let token = key.sign("logout+jwt", &whole);
    app.post_logout_token(&token).await.expect(200);
    let shown = data(&app.ask(Method::GET, &path, &watcher).await.expect(200));
    assert_eq!(shown["active"], false);
    app.post_logout_token(&token).await.expect_error(400, "invalid_request");
    // It is the id that was heard, whatever else the token says.
    let again = good(&json!({ "jti": whole["jti"] }));
    let again = key.sign("logout+jwt", &again);
    app.post_logout_token(&again).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn a_token_that_names_a_person_ends_all_of_their_sessions() {
    let realm = TestRealm::create(&json!({})).await;
    let key = SharedKey::import(&realm).await;
    let app = App::start(realm, "").await;
    let (user, other) = (app.realm.create_user().await, app.realm.create_user().await);
    let first = app.sign_in(&Browser::new(), "", &user).await;
    app.sign_in(&Browser::new(), "", &user).await;
    let theirs = text(&app.sign_in(&Browser::new(), "", &other).await, "access_token");
    let meant = claims(&app, "", &json!({ "sid": null, "sub": user.id }));
    app.post_logout_token(&key.sign("JWT", &meant)).await.expect(200);
    let refused = app.ask(Method::GET, "/sessions", &text(&first, "access_token")).await;
    refused.expect_error(401, "token_not_active");
    let listed = data(&app.ask(Method::GET, "/sessions", &theirs).await.expect(200));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}
