//! Sensitive actions, and attempts to do them with a proof that is old or somebody else's.

use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::json;

use super::support::{FEED_CLIENT, PASSWORD, Session, TestApp, claims, send};

const API_KEYS: &str = "/api/v5/auth/api-keys";

fn wanted() -> serde_json::Value {
    json!({ "name": "backup", "scopes": ["chat"] })
}

/// Checks that what is at `path`, and `other` with it, is removed in `session` by the password alone,
/// its sign-in being old.
pub(crate) async fn check_removal(app: &TestApp, session: &Session, path: &str, other: &Session) {
    let refused = app.delete_as(session, path).await;
    let refused = refused.expect_error(401, "insufficient_user_authentication");
    // RFC 9470, section 3.
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
    assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
    let with = |password: &str| {
        let request = app.request(Method::DELETE, path).bearer_auth(&session.access_token);
        request.json(&json!({ "current_password": password }))
    };
    let wrong = send(with("wrong password")).await;
    let _ = wrong.expect_error(401, "insufficient_user_authentication");
    assert!(app.is_live(other).await);
    let _ = send(with(PASSWORD)).await.expect(200);
    assert!(!app.is_live(other).await);
}

async fn refreshed(app: &TestApp, session: &Session) -> Session {
    let answer = app.refresh(&session.refresh_token).await.expect(200);
    Session {
        access_token: answer.member("access_token"),
        refresh_token: answer.member("refresh_token"),
        ..session.clone()
    }
}

#[tokio::test]
async fn an_old_proof_does_not_do_nor_does_a_refresh_and_a_new_one_does_in_its_own_session_alone() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let other = app.log_in(&app.register_device().await, &session.username).await;
    let _ = app.post_as(&session, API_KEYS, &wanted()).await.expect(201);
    app.clock.turn(TimeDelta::minutes(6));
    let before = claims(&session.access_token)["auth_time"].clone();
    let session = refreshed(&app, &session).await;
    assert_eq!(claims(&session.access_token)["auth_time"], before);
    let refused = app.post_as(&session, API_KEYS, &wanted()).await;
    let refused = refused.expect_error(401, "insufficient_user_authentication");
    // RFC 9470, section 3.
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
    assert!(challenge.contains(r#"acr_values="urn:latchkey:acr:passkey"#), "{challenge}");

    let path = "/api/v5/auth/reauthenticate";
    let wrong = json!({ "current_password": "wrong password" });
    let _ = app.post_as(&session, path, &wrong).await.expect_error(401, "invalid_credentials");
    let _ = app.post_as(&session, API_KEYS, &wanted()).await.expect(401);
    let right = json!({ "current_password": PASSWORD });
    let begun = app.now().timestamp();
    let _ = app.post_as(&session, path, &right).await.expect(200);
    let proven = begun..=app.now().timestamp();
    let _ = app.post_as(&session, API_KEYS, &wanted()).await.expect(201);
    let _ = app.post_as(&other, API_KEYS, &wanted()).await.expect(401);
    let next = refreshed(&app, &session).await;
    let at = claims(&next.access_token)["auth_time"].as_i64().unwrap();
    assert!(proven.contains(&at), "{at} {proven:?}");
}

#[tokio::test]
async fn an_api_key_is_shown_once_is_introspected_and_ends_by_revocation_expiry_or_a_new_password()
{
    let app = TestApp::start().await;
    let (session, stranger) = (app.sign_in().await, app.sign_in().await);
    let issue = async || {
        let issued = app.post_as(&session, API_KEYS, &wanted()).await.expect(201);
        (issued.member("key"), format!("{API_KEYS}/{}", issued.member("key_id")))
    };
    let is_active = async |key: &str| {
        app.post_token("/api/auth/introspect", key).await.expect(200).json["active"] == true
    };
    let (key, path) = issue().await;
    assert!(key.starts_with("lka_"));
    let found = app.post_token("/api/auth/introspect", &key).await.expect(200).json;
    assert_eq!((&found["scope"], &found["sub"]), (&json!("chat"), &json!(session.user_id)));
    let listed = app.get_as(&session, API_KEYS).await.expect(200);
    assert!(!listed.text.contains(&key) && listed.json["items"][0]["last_used_at"].is_string());
    // It opens nothing here, least of all more keys.
    let thief = Session { access_token: key.clone(), ..session.clone() };
    let _ = app.get_as(&thief, API_KEYS).await.expect_error(401, "invalid_token");
    let _ = app.delete_as(&stranger, &path).await.expect_error(404, "api_key_not_found");
    assert!(is_active(&key).await);
    let _ = app.delete_as(&session, &path).await.expect(200);
    assert!(!is_active(&key).await);

    let (key, _) = issue().await;
    let _ = app.post_token("/api/auth/revoke", &key).await.expect(200);
    assert!(!is_active(&key).await);

    let (key, _) = issue().await;
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    let changed = app.post_as(&session, "/api/auth/password", &body).await.expect(200);
    assert_eq!(
        (&changed.json["api_keys_revoked"], &changed.json["passkeys"]),
        (&json!(1), &json!([]))
    );
    assert!(!is_active(&key).await);

    let (key, _) = issue().await;
    app.clock.turn(TimeDelta::days(90));
    assert!(!is_active(&key).await);
}

#[tokio::test]
async fn only_an_admin_changes_roles_and_never_their_own() {
    let app = TestApp::start().await;
    let (admin, user) = (app.sign_in().await, app.sign_in().await);
    let path = |session: &Session| format!("/api/v5/auth/users/{}/role", session.user_id);
    let body = json!({ "role": "admin" });
    let _ = app.patch_as(&user, &path(&user), &body).await.expect_error(403, "admin_required");
    let promote = format!("UPDATE users SET role = 'admin' WHERE id = '{}'", admin.user_id);
    app.database.connect().await.batch_execute(&promote).await.unwrap();
    let nobody = format!("/api/v5/auth/users/{}/role", uuid::Uuid::new_v4());
    let _ = app.patch_as(&admin, &nobody, &body).await.expect_error(404, "user_not_found");
    let _ = app.patch_as(&admin, &path(&user), &body).await.expect(200);
    let less = json!({ "role": "user" });
    let _ = app.patch_as(&admin, &path(&admin), &less).await.expect_error(403, "own_role");
    let _ = app.patch_as(&user, &path(&admin), &less).await.expect(200);
    let _ = app.patch_as(&admin, &path(&user), &less).await.expect_error(403, "admin_required");
}

#[tokio::test]
async fn on_the_bearer_api_the_password_in_the_same_request_is_proof_for_just_that_request() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::minutes(6));
    let with = |password: &str| {
        let mut body = wanted();
        body["current_password"] = json!(password);
        body
    };
    let refused = app.post_as(&session, API_KEYS, &with("wrong password")).await;
    let _ = refused.expect_error(401, "insufficient_user_authentication");
    let _ = app.post_as(&session, API_KEYS, &with(PASSWORD)).await.expect(201);
    let refused = app.post_as(&session, API_KEYS, &wanted()).await;
    let _ = refused.expect_error(401, "insufficient_user_authentication");
    let start = "/api/v5/auth/webauthn/register/start";
    let _ = app.post_as(&session, start, &json!({})).await.expect(401);
    let body = json!({ "current_password": PASSWORD });
    let _ = app.post_as(&session, start, &body).await.expect(200);
    let count = async |outcome: &str| {
        app.metric(&format!("user_service_step_ups_total{{outcome=\"{outcome}\"}}")).await
    };
    assert_eq!((count("password").await, count("password_refused").await), (2, 1));
    assert_eq!(count("required").await, 2);
}

#[tokio::test]
async fn neither_an_api_key_nor_a_client_nor_an_ended_session_can_step_up() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let key = app.post_as(&session, API_KEYS, &wanted()).await.expect(201).member("key");
    let (id, secret) = FEED_CLIENT;
    let ended = app.sign_in().await;
    let _ = app.log_out(&ended.refresh_token).await.expect(200);
    let body = json!({ "current_password": PASSWORD, "name": "a", "scopes": ["chat"],
        "credential": {}, "new_password": "a longer horse battery" });
    for path in [
        "/api/v5/auth/reauthenticate",
        "/api/v5/auth/webauthn/authenticate/start",
        "/api/v5/auth/webauthn/authenticate/finish",
        "/api/v5/auth/webauthn/register/start",
        API_KEYS,
        "/api/auth/password",
    ] {
        let post = || app.request(Method::POST, path).json(&body);
        for token in [&key, &ended.access_token, &session.refresh_token] {
            let _ = send(post().bearer_auth(token)).await.expect_error(401, "invalid_token");
        }
        let _ = send(post().basic_auth(id, Some(secret))).await.expect(401);
        let _ = send(post()).await.expect_error(401, "unauthorized");
    }
}

#[tokio::test]
async fn all_checks_of_a_password_share_one_limit_whichever_endpoint_makes_them() {
    let limit = ("USER_SERVICE__LIMITS__PASSWORD_CHECKS_PER_HOUR", "3");
    let app = TestApp::with(&[limit]).await;
    let session = app.sign_in().await;
    let wrong = json!({ "current_password": "wrong password", "name": "a", "scopes": ["chat"],
        "new_password": "a longer horse battery" });
    for path in ["/api/v5/auth/reauthenticate", "/api/auth/password", API_KEYS] {
        let _ = app.post_as(&session, path, &wrong).await.expect(401);
    }
    let right = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    for path in ["/api/v5/auth/reauthenticate", "/api/auth/password"] {
        let limited = app.post_as(&session, path, &right).await;
        assert_ne!(limited.expect_error(429, "rate_limited").header("retry-after"), "");
    }
    let _ = app.log_in(&session.device, &session.username).await;
}
