//! Sensitive actions in browsers: what proves the person there, and what does not.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use test_support::{Answer, TestBrowser, TestPasskey};

use super::browser_support::{SESSIONS, is_live, log_in, refresh};
use super::support::{PASSWORD, TestApp, claims, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const API_KEYS: &str = "/api/v5/auth/api-keys";
const REAUTHENTICATE: &str = "/api/v5/auth/reauthenticate";
const DEVICES: &str = "/api/v5/auth/devices";
const CHANGE_PASSWORD: &str = "/api/v5/auth/password";
const INSUFFICIENT: &str = "insufficient_user_authentication";

/// A browser in which somebody signed in long ago.
async fn long_ago(app: &TestApp) -> TestBrowser {
    let (browser, _) = app.browse_as("alice").await;
    app.clock.turn(TimeDelta::minutes(6));
    let _ = refresh(&browser).await.expect(200);
    browser
}

async fn issue(browser: &TestBrowser) -> Answer {
    let body = json!({ "name": "a", "scopes": ["chat"], "current_password": PASSWORD });
    browser.post(API_KEYS, &body).await
}

async fn reauthenticate(browser: &TestBrowser) {
    let body = json!({ "current_password": PASSWORD });
    let _ = browser.post(REAUTHENTICATE, &body).await.expect(200);
}

async fn patch(browser: &TestBrowser, path: &str, trusted: bool) -> Answer {
    let request = browser.request(Method::PATCH, path);
    browser.send(request.json(&json!({ "trusted": trusted, "current_password": PASSWORD }))).await
}

#[tokio::test]
async fn a_page_proves_its_person_by_password_or_passkey_and_in_its_own_session_alone() {
    let app = TestApp::with(&[ES256]).await;
    let browser = long_ago(&app).await;
    let other = app.browser().await;
    let _ = log_in(&other, "alice").await.expect(200);
    // A password beside the request is no proof here.
    let _ = issue(&browser).await.expect_error(401, INSUFFICIENT);
    reauthenticate(&browser).await;
    let _ = issue(&browser).await.expect(201);

    let mut passkey = TestPasskey::new("http://localhost:8080");
    let start = "/api/v5/auth/webauthn/register/start";
    let options = browser.post(start, &json!({})).await.expect(200).json;
    let body = json!({ "name": "laptop", "credential": passkey.register(&options) });
    let _ = browser.post("/api/v5/auth/webauthn/register/finish", &body).await.expect(201);
    app.clock.turn(TimeDelta::minutes(6));
    for one in [&browser, &other] {
        let _ = refresh(one).await.expect(200);
        let _ = issue(one).await.expect_error(401, INSUFFICIENT);
    }
    let start = "/api/v5/auth/webauthn/authenticate/start";
    let options = browser.post(start, &json!({})).await.expect(200).json;
    let body = json!({ "credential": passkey.assert(&options) });
    let finish = "/api/v5/auth/webauthn/authenticate/finish";
    let _ = other.post(finish, &body).await.expect_error(401, "invalid_passkey");
    let begun = app.now().timestamp();
    let _ = browser.post(finish, &body).await.expect(200);
    let proven = begun..=app.now().timestamp();
    let _ = issue(&browser).await.expect(201);
    let _ = issue(&other).await.expect_error(401, INSUFFICIENT);
    let _ = refresh(&browser).await.expect(200);
    let token = claims(&browser.cookie("access").unwrap());
    let at = token["auth_time"].as_i64().unwrap();
    assert!(proven.contains(&at), "{at} {proven:?}");
}

#[tokio::test]
async fn a_proof_needs_the_csrf_token_and_one_session_that_is_not_in_doubt() {
    let app = TestApp::with(&[ES256]).await;
    let browser = long_ago(&app).await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let body = json!({ "current_password": PASSWORD });
    let forged = browser.request(Method::POST, REAUTHENTICATE).header("x-csrf-token", "wrong");
    let _ = browser.send(forged.json(&body)).await.expect_error(403, "csrf_invalid");
    let both = browser.request(Method::POST, REAUTHENTICATE).bearer_auth(&phone.access_token);
    let _ = browser.send(both.json(&body)).await.expect_error(400, "invalid_request");
    let token = browser.cookie("access").unwrap();
    let bearer = app.request(Method::POST, REAUTHENTICATE).bearer_auth(&token).json(&body);
    let _ = send(bearer).await.expect_error(401, "invalid_token");
    let _ = issue(&browser).await.expect_error(401, INSUFFICIENT);
}

#[tokio::test]
async fn in_browsers_too_a_device_is_trusted_or_removed_only_by_who_proves_to_be_the_owner() {
    let app = TestApp::with(&[ES256]).await;
    let browser = long_ago(&app).await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let listed = browser.get(DEVICES).await.expect(200).json;
    let own = listed["items"].as_array().unwrap().iter().find(|item| item["current"] == true);
    let own = format!("{DEVICES}/{}", own.unwrap()["device_id"].as_str().unwrap());
    let other = format!("{DEVICES}/{}", phone.device.id);
    let _ = patch(&browser, &own, true).await.expect_error(401, INSUFFICIENT);
    let _ = patch(&browser, &own, false).await.expect(200);
    let _ = browser.delete(&other).await.expect_error(401, INSUFFICIENT);
    assert!(app.is_live(&phone).await);
    reauthenticate(&browser).await;
    assert_eq!(patch(&browser, &own, true).await.expect(200).json["trusted"], true);
    let _ = browser.delete(&other).await.expect(200);
    assert!(!app.is_live(&phone).await);
    app.clock.turn(TimeDelta::minutes(6));
    let _ = refresh(&browser).await.expect(200);
    let _ = browser.delete(&own).await.expect(200);
    assert!(browser.cookie("access").is_none() && !is_live(&browser).await);
}

#[tokio::test]
async fn in_browsers_a_password_is_changed_with_the_present_one_and_a_proof_of_minutes_ago() {
    let app = TestApp::with(&[ES256]).await;
    let browser = long_ago(&app).await;
    let other = app.browser().await;
    let _ = log_in(&other, "alice").await.expect(200);
    let body =
        |current: &str| json!({ "current_password": current, "new_password": "a longer one" });
    let early = browser.post(CHANGE_PASSWORD, &body(PASSWORD)).await;
    let _ = early.expect_error(401, INSUFFICIENT);
    reauthenticate(&browser).await;
    let key = issue(&browser).await.expect(201).member("key");
    let wrong = browser.post(CHANGE_PASSWORD, &body("wrong password")).await;
    let _ = wrong.expect_error(401, "invalid_credentials");
    let changed = browser.post(CHANGE_PASSWORD, &body(PASSWORD)).await.expect(200).json;
    assert_eq!((&changed["api_keys_revoked"], &changed["passkeys"]), (&json!(1), &json!([])));
    let found = app.post_token("/api/auth/introspect", &key).await.expect(200);
    assert_eq!(found.json, json!({ "active": false }));
    assert!(is_live(&browser).await && !is_live(&other).await);
    let _ = browser.get(SESSIONS).await.expect(200);
}

#[tokio::test]
async fn logging_out_everywhere_ends_the_own_session_too_and_so_needs_no_new_proof() {
    let app = TestApp::with(&[ES256]).await;
    let browser = long_ago(&app).await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let _ = browser.delete(SESSIONS).await.expect_error(401, INSUFFICIENT);
    let everywhere = browser.post("/api/v5/auth/logout-all", &json!({})).await.expect(200);
    assert_eq!(everywhere.json["sessions_ended"], 2);
    assert!(!is_live(&browser).await && !app.is_live(&phone).await);

    let phone = app.log_in(&phone.device, "alice").await;
    app.clock.turn(TimeDelta::minutes(6));
    let _ = browser.get_csrf().await.expect(200);
    let _ = log_in(&browser, "alice").await.expect(200);
    let removal = format!(
        "/api/auth/sessions/{}",
        claims(&browser.cookie("access").unwrap())["sid"].as_str().unwrap()
    );
    let _ = app.delete_as(&phone, &removal).await.expect_error(401, INSUFFICIENT);
    let everywhere = app.post_as(&phone, "/api/auth/logout-all", &json!({})).await.expect(200);
    assert_eq!(everywhere.json["sessions_ended"], 2);
    assert!(!is_live(&browser).await && !app.is_live(&phone).await);
}
