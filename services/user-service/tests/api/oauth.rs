//! Introspection (RFC 7662) and revocation (RFC 7009).

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::Answer;

use super::feed_reader::FeedReader;
use super::support::{FEED_CLIENT, FORM, TestApp, claims, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const INTROSPECT: &str = "/api/auth/introspect";
const REVOKE: &str = "/api/auth/revoke";

async fn introspect(app: &TestApp, token: &str) -> Value {
    app.post_token(INTROSPECT, token).await.expect(200).json
}

#[track_caller]
fn expect_oauth_error(answer: Answer, status: u16, error: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.json["error"], error, "{}", answer.text);
    assert!(answer.json["error_description"].is_string());
    assert_eq!(answer.json.as_object().unwrap().len(), 2, "{}", answer.text);
    answer
}

#[tokio::test]
async fn an_access_token_is_introspected_with_all_its_claims() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let answer = app.post_token(INTROSPECT, &session.access_token).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let claims = claims(&session.access_token);
    let mut expected = claims.clone();
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    expected["username"] = json!(session.username);
    // RFC 9470, section 6.2.
    assert_eq!(expected["acr"], "urn:latchkey:acr:password");
    assert_eq!(answer.json, expected);
    let metric = r#"user_service_introspections_total{outcome="active"}"#;
    assert_eq!(app.metric(metric).await, 1);
}

#[tokio::test]
async fn only_the_newest_refresh_token_is_active() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let newest = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    assert_eq!(introspect(&app, &session.refresh_token).await, json!({ "active": false }));
    let found = introspect(&app, &newest).await;
    assert_eq!((&found["active"], &found["sid"]), (&json!(true), &json!(session.id)));
    // Nothing says that it opens a resource.
    assert!(found.get("token_type").is_none());
    assert_eq!(found["aud"], found["iss"]);
    app.clock.turn(TimeDelta::days(31));
    assert_eq!(introspect(&app, &newest).await, json!({ "active": false }));
}

#[tokio::test]
async fn what_is_worth_nothing_says_nothing_else() {
    let app = TestApp::with(&[ES256]).await;
    let ended = app.sign_in().await;
    let _ = app.log_out(&ended.refresh_token).await.expect(200);
    let session = app.sign_in().await;
    let cut = &session.access_token[..session.access_token.len() - 4];
    let long = "x".repeat(60_000);
    for token in ["x", "lkr_AAAA", "a.b.c", cut, &long, &ended.access_token, &ended.refresh_token] {
        assert_eq!(introspect(&app, token).await, json!({ "active": false }));
        assert_eq!(app.post_token(REVOKE, token).await.expect(200).text, "");
    }
    assert!(app.is_live(&session).await);
    app.clock.turn(TimeDelta::hours(2));
    assert_eq!(introspect(&app, &session.access_token).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_refresh_token_revoked_ends_its_session() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let newest = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    // A superseded one is as good for this.
    let _ = app.post_token(REVOKE, &session.refresh_token).await.expect(200);
    assert!(!app.is_live(&session).await);
    let _ = app.refresh(&newest).await.expect_error(401, "invalid_refresh_token");
    assert_eq!(introspect(&app, &newest).await, json!({ "active": false }));
    let metric = r#"user_service_sessions_ended_total{reason="revoked"}"#;
    assert_eq!(app.metric(metric).await, 1);
    let _ = app.post_token(REVOKE, &session.refresh_token).await.expect(200);
}

#[tokio::test]
async fn an_access_token_revoked_ends_alone_and_the_feed_says_so() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    let _ = reader.replay().await;
    let _ = app.post_token(REVOKE, &session.access_token).await.expect(200);
    let event = reader.next().await;
    let claims = claims(&session.access_token);
    assert_eq!((&*event.name, &event.data["jti"]), ("jti_revoked", &claims["jti"]));
    assert!(event.data["until"].as_i64() >= claims["exp"].as_i64());
    assert!(!app.is_live(&session).await);
    assert_eq!(introspect(&app, &session.access_token).await, json!({ "active": false }));
    let mut next = session.clone();
    next.access_token =
        app.refresh(&session.refresh_token).await.expect(200).member("access_token");
    assert!(app.is_live(&next).await);
}

#[tokio::test]
async fn strangers_and_odd_forms_get_oauth_s_own_errors() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let (client, secret) = FEED_CLIENT;
    let form = format!("token={}", session.refresh_token);
    for path in [INTROSPECT, REVOKE] {
        let post = || app.request(Method::POST, path);
        let good = || post().basic_auth(client, Some(secret));
        for stranger in [
            post(),
            post().basic_auth(client, Some("wrong")),
            post().basic_auth("nobody", Some(secret)),
            post().bearer_auth(&session.access_token),
        ] {
            let answer = send(stranger.header("content-type", FORM).body(form.clone())).await;
            let answer = expect_oauth_error(answer, 401, "invalid_client");
            assert!(answer.header("www-authenticate").starts_with("Basic"));
        }
        let twice = format!("{form}&token=x");
        for bad in ["", "token=", "token_type_hint=access_token", &twice] {
            let answer = send(good().header("content-type", FORM).body(bad.to_owned())).await;
            let _ = expect_oauth_error(answer, 400, "invalid_request");
        }
        let answer = send(good().json(&json!({ "token": "x" }))).await;
        let _ = expect_oauth_error(answer, 400, "invalid_request");
        let large = format!("token={}", "x".repeat(70_000));
        let answer = send(good().header("content-type", FORM).body(large)).await;
        let _ = expect_oauth_error(answer, 413, "invalid_request");
    }
    assert!(app.is_live(&session).await);
    let with_hint = format!("{form}&token_type_hint=access_token&unknown=1");
    let request = app.request(Method::POST, REVOKE).basic_auth(client, Some(secret));
    let _ = send(request.header("content-type", FORM).body(with_hint)).await.expect(200);
    assert!(!app.is_live(&session).await);
}

#[tokio::test]
async fn the_tokens_of_a_client_that_can_prove_itself_are_its_own_to_revoke() {
    let clients = "chat-service:development-feed-secret,latchkey-app:s%+ecret";
    let app = TestApp::with(&[ES256, ("USER_SERVICE__FEED__CLIENTS", clients)]).await;
    let session = app.sign_in().await;
    for token in [&session.refresh_token, &session.access_token] {
        let answer = app.post_token(REVOKE, token).await;
        let _ = expect_oauth_error(answer, 400, "unauthorized_client");
    }
    assert!(app.is_live(&session).await);
    // RFC 6749, section 2.3.1: the secret form-encoded.
    for secret in ["s%+ecret", "s%25%2Becret"] {
        let own = app.request(Method::POST, REVOKE).basic_auth("latchkey-app", Some(secret));
        let form = format!("token={}", session.refresh_token);
        let _ = send(own.header("content-type", FORM).body(form)).await.expect(200);
    }
    assert!(!app.is_live(&session).await);
}

#[tokio::test]
async fn without_the_database_nothing_is_said_to_be_inactive() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let timeout = ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "200ms");
    let lonely = app.replica_on("postgres://nobody@127.0.0.1:1/none", &[timeout]).await;
    let (client, secret) = FEED_CLIENT;
    for path in [INTROSPECT, REVOKE] {
        let request = app.client.post(lonely.url(path)).basic_auth(client, Some(secret));
        let form = format!("token={}", session.access_token);
        let answer = send(request.header("content-type", FORM).body(form)).await;
        let answer = expect_oauth_error(answer, 503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn the_metadata_names_both_endpoints_and_what_proofs_are_worth() {
    let app = TestApp::with(&[ES256]).await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.expect(200);
    for name in ["introspection", "revocation"] {
        let endpoint = metadata.member(&format!("{name}_endpoint"));
        let path = endpoint.strip_prefix("http://127.0.0.1:8080").unwrap();
        let _ = app.post_token(path, "x").await.expect(200);
        let methods = &metadata.json[format!("{name}_endpoint_auth_methods_supported")];
        assert_eq!(methods, &json!(["client_secret_basic"]));
    }
    let worth = json!(["urn:latchkey:acr:passkey", "urn:latchkey:acr:password"]);
    assert_eq!(metadata.json["acr_values_supported"], worth);
}
