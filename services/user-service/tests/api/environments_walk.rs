//! The steps of [`super::environments`], the same in every environment.

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestBrowser, TestPasskey};

use super::environments::Walk;
use super::support::{FORM, PASSWORD, Session, send};

const V5: &str = "/api/v5/auth";

impl Walk {
    async fn get(&self, browser: &TestBrowser, path: &str, status: u16) -> Answer {
        let answer = browser.get(&format!("{V5}{path}")).await;
        self.page_step(&format!("GET {V5}{path}"), answer, status)
    }

    async fn post(&self, browser: &TestBrowser, path: &str, body: &Value, status: u16) -> Answer {
        let answer = browser.post(&format!("{V5}{path}"), body).await;
        self.page_step(&format!("POST {V5}{path}"), answer, status)
    }

    async fn delete(&self, browser: &TestBrowser, path: &str, parameter: &str, id: &str) {
        let answer = browser.delete(&format!("{V5}{path}/{id}")).await;
        let _ = self.page_step(&format!("DELETE {V5}{path}/{{{parameter}}}"), answer, 200);
    }

    async fn register(&self, browser: &TestBrowser, username: &str) -> String {
        let body = self.registration(username, PASSWORD);
        let registered = self.post(browser, "/register", &body, 201).await;
        registered.json["user"]["user_id"].as_str().unwrap().to_owned()
    }

    async fn sign_in(&self, username: &str) -> TestBrowser {
        let (browser, nothing) = (self.browser(), json!({}));
        let _ = self.get(&browser, "/csrf", 200).await;
        // Nobody is signed in yet, whatever the jar holds.
        let _ = self.post(&browser, "/refresh", &nothing, 401).await;
        let body = json!({ "username": username, "password": PASSWORD });
        let _ = self.post(&browser, "/login", &body, 200).await;
        let _ = self.get(&browser, "/verify-token", 204).await;
        browser
    }
}

pub(crate) async fn walk_in_a_browser(walk: &Walk) {
    let (first, nothing) = (walk.browser(), json!({}));
    let _ = walk.get(&first, "/csrf", 200).await;
    let alice = walk.register(&first, "alice").await;
    let browser = walk.sign_in("alice").await;
    assert!(browser.cookie("refresh").is_some_and(|cookie| !cookie.is_empty()));
    let _ = walk.post(&browser, "/refresh", &nothing, 200).await;
    let body = json!({ "current_password": PASSWORD });
    let _ = walk.post(&browser, "/reauthenticate", &body, 200).await;
    sensitive_actions(walk, &browser, &alice).await;

    let (other, third) = (walk.sign_in("alice").await, walk.sign_in("alice").await);
    let listed = walk.get(&other, "/sessions", 200).await;
    let own = listed.json["items"].as_array().unwrap().iter().find(|one| one["current"] == true);
    let own = own.unwrap()["session_id"].as_str().unwrap().to_owned();
    walk.delete(&browser, "/sessions", "session_id", &own).await;
    let _ = walk.get(&other, "/verify-token", 401).await;
    let answer = browser.delete(&format!("{V5}/sessions")).await;
    let _ = walk.page_step(&format!("DELETE {V5}/sessions"), answer, 200);
    let _ = walk.get(&third, "/verify-token", 401).await;
    let _ = walk.get(&browser, "/verify-token", 204).await;
    let _ = walk.post(&browser, "/logout-all", &nothing, 200).await;
    let _ = walk.get(&browser, "/verify-token", 401).await;
    let last = walk.sign_in("alice").await;
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    let _ = walk.post(&last, "/password", &body, 200).await;
    let _ = walk.post(&last, "/logout", &nothing, 200).await;
    let _ = walk.get(&last, "/verify-token", 401).await;
}

async fn sensitive_actions(walk: &Walk, browser: &TestBrowser, alice: &str) {
    let body = json!({ "name": "backup", "scopes": ["chat"] });
    let key = walk.post(browser, "/api-keys", &body, 201).await.member("key_id");
    let _ = walk.get(browser, "/api-keys", 200).await;
    walk.delete(browser, "/api-keys", "key_id", &key).await;

    let other = walk.sign_in("alice").await;
    let listed = walk.get(&other, "/devices", 200).await;
    let own = listed.json["items"].as_array().unwrap().iter().find(|one| one["current"] == true);
    let device = own.unwrap()["device_id"].as_str().unwrap().to_owned();
    let request = browser.request(Method::PATCH, &format!("{V5}/devices/{device}"));
    let answer = browser.send(request.json(&json!({ "device_name": "kitchen" }))).await;
    let _ = walk.page_step(&format!("PATCH {V5}/devices/{{device_id}}"), answer, 200);
    walk.delete(browser, "/devices", "device_id", &device).await;

    let promote = format!("UPDATE users SET role = 'admin' WHERE id = '{alice}'");
    walk.app.database.connect().await.batch_execute(&promote).await.unwrap();
    let page = walk.browser();
    let _ = walk.get(&page, "/csrf", 200).await;
    let bob = walk.register(&page, "bob").await;
    let path = format!("{V5}/users/{bob}/role");
    let request = browser.request(Method::PATCH, &path).json(&json!({ "role": "admin" }));
    let answer = browser.send(request).await;
    let _ = walk.page_step(&format!("PATCH {V5}/users/{{user_id}}/role"), answer, 200);
    passkeys(walk, browser).await;
}

/// Adds a passkey on the page, proves its owner by it, and removes it.
async fn passkeys(walk: &Walk, browser: &TestBrowser) {
    let (mut passkey, nothing) = (TestPasskey::new(walk.place.page), json!({}));
    let options = walk.post(browser, "/webauthn/register/start", &nothing, 200).await;
    let body = json!({ "name": "laptop", "credential": passkey.register(&options.json) });
    let added = walk.post(browser, "/webauthn/register/finish", &body, 201).await;
    let listed = walk.get(browser, "/webauthn/credentials", 200).await;
    assert_eq!(listed.json["items"][0]["passkey_id"], added.json["passkey_id"]);
    let options = walk.post(browser, "/webauthn/authenticate/start", &nothing, 200).await;
    let body = json!({ "credential": passkey.assert(&options.json) });
    let _ = walk.post(browser, "/webauthn/authenticate/finish", &body, 200).await;
    let id = added.member("passkey_id");
    walk.delete(browser, "/webauthn/credentials", "passkey_id", &id).await;
}

pub(crate) async fn walk_as_an_app(walk: &Walk) {
    public_pages(walk).await;
    let app = &walk.app;
    let device = app.register_device().await;
    let _ = walk.step(
        "POST /api/auth/register",
        app.post("/api/auth/register", &walk.registration("carol", PASSWORD)).await,
        201,
    );
    let body = app.login_body(&device, "carol");
    let answer = app.post("/api/auth/login", &body).await;
    let session = session_of(&walk.step("POST /api/auth/login", answer, 200), device);
    let offer = test_support::TestDevice::offer();
    let body = json!({ "public_key": offer.public_key, "device_name": "tablet" });
    let answer = app.post("/api/auth/register-device", &body).await;
    let answer = walk.step("POST /api/auth/register-device", answer, 201);
    let tablet = app.log_in(&test_support::TestDevice::agree(&offer, &answer.json), "carol").await;
    let sessions = app.get_as(&session, "/api/auth/sessions").await;
    let sessions = walk.step("GET /api/auth/sessions", sessions, 200);
    assert_eq!(sessions.json["items"].as_array().unwrap().len(), 2);
    let devices = app.get_as(&session, "/api/auth/devices").await;
    let _ = walk.step("GET /api/auth/devices", devices, 200);
    let (device, pattern) = (device_path(&tablet), "/api/auth/devices/{device_id}");
    let renamed = app.patch_as(&session, &device, &json!({ "device_name": "slate" })).await;
    let _ = walk.step(&format!("PATCH {pattern}"), renamed, 200);
    let path = format!("/api/auth/sessions/{}", tablet.id);
    let ended = app.delete_as(&session, &path).await;
    let _ = walk.step("DELETE /api/auth/sessions/{session_id}", ended, 200);
    let removed = app.delete_as(&session, &device).await;
    let _ = walk.step(&format!("DELETE {pattern}"), removed, 200);
    tokens(walk, session).await;
}

async fn tokens(walk: &Walk, session: Session) {
    let app = &walk.app;
    let refreshed = app.refresh(&session.refresh_token).await;
    let refreshed = walk.step("POST /api/auth/refresh", refreshed, 200);
    let session = Session {
        access_token: refreshed.member("access_token"),
        refresh_token: refreshed.member("refresh_token"),
        ..session
    };
    let path = "/api/auth/introspect";
    let found = walk.step(&format!("POST {path}"), told(walk, path, &session).await, 200);
    assert_eq!(found.json["active"], true);
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    let changed = app.post_as(&session, "/api/auth/password", &body).await;
    let _ = walk.step("POST /api/auth/password", changed, 200);
    let path = "/api/auth/revoke";
    let _ = walk.step(&format!("POST {path}"), told(walk, path, &session).await, 200);

    let device = app.register_device().await;
    let body = device.login("carol", "a longer horse battery", app.now().timestamp_millis());
    let answer = app.post("/api/auth/login", &body).await.expect(200);
    let last = session_of(&answer, device);
    let left = app.post_as(&last, "/api/auth/logout-all", &json!({})).await;
    let _ = walk.step("POST /api/auth/logout-all", left, 200);
    let left = app.log_out(&last.refresh_token).await;
    let _ = walk.step("POST /api/auth/logout", left, 200);
    assert!(!app.is_live(&last).await);
}

async fn public_pages(walk: &Walk) {
    let app = &walk.app;
    test_support::eventually("ready", async || {
        (app.get("/health/ready").await.status == 200).then_some(())
    })
    .await;
    for path in ["/health", "/health/ready", "/.well-known/oauth-authorization-server"] {
        let _ = walk.step(&format!("GET {path}"), app.get(path).await, 200);
    }
    let jwks = "/.well-known/jwks.json";
    // The pool makes its next key beside.
    let kid = test_support::eventually("a key is published", async || {
        let set = walk.step(&format!("GET {jwks}"), app.get(jwks).await, 200);
        set.json["keys"][0]["kid"].as_str().map(str::to_owned)
    })
    .await;
    let pem = app.get(&format!("/api/auth/public-key?kid={kid}")).await;
    let _ = walk.step("GET /api/auth/public-key", pem, 200);
    // The stream has no end to be read; a stranger is not let in.
    let changes = "/.well-known/jwks/changes";
    let _ = walk.step(&format!("GET {changes}"), app.get(changes).await, 401);
    let (name, secret) = walk.client();
    let request = app.request(Method::GET, changes).basic_auth(name, Some(secret));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// What one of OAuth's endpoints answers a service about the session's access token.
async fn told(walk: &Walk, path: &str, session: &Session) -> Answer {
    let (name, secret) = walk.client();
    let request = walk.app.request(Method::POST, path).basic_auth(name, Some(secret));
    let body = format!("token={}", session.access_token);
    send(request.header("content-type", FORM).body(body)).await
}

fn device_path(session: &Session) -> String {
    let claims = super::support::claims(&session.access_token);
    format!("/api/auth/devices/{}", claims["device_id"].as_str().unwrap())
}

fn session_of(answer: &Answer, device: test_support::TestDevice) -> Session {
    Session {
        device,
        username: "carol".to_owned(),
        id: answer.member("session_id"),
        access_token: answer.member("access_token"),
        refresh_token: answer.member("refresh_token"),
        user_id: answer.json["user"]["user_id"].as_str().unwrap().to_owned(),
    }
}
