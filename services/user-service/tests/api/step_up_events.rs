//! What is written of sensitive actions and of proofs, with what they do.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use test_support::{TestPasskey, TestServer, eventually};

use super::security_events::{Row, event, events, is_of};
use super::support::{PASSWORD, TestApp, send};

#[tokio::test]
async fn sensitive_changes_are_written_with_who_made_them_from_where() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let path = format!("/api/auth/devices/{}", session.device.id);
    let refused = json!({ "trusted": true, "current_password": "not this one" });
    let _ = app.patch_as(&session, &path, &refused).await.expect(401);
    assert_eq!(event(&app, "step_up_required").await.details["reason"], "wrong_password");
    let trusted = json!({ "trusted": true, "current_password": PASSWORD });
    let _ = app.patch_as(&session, &path, &trusted).await.expect(200);
    assert!(is_of(&event(&app, "stepped_up").await, &session));
    assert_eq!(event(&app, "device_trusted").await.details["trusted"], true);
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    let _ = app.post_as(&session, "/api/auth/password", &body).await.expect(200);
    assert!(is_of(&event(&app, "password_changed").await, &session));
    let _ = app.delete_as(&session, &path).await.expect(200);
    let removed = event(&app, "device_removed").await;
    assert_eq!(removed.details["device_id"], session.device.id.as_str());
    assert_eq!(removed.address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_wrong_password_at_its_change_is_written_and_counted_like_any_other_guess() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let change =
        |current: &str| json!({ "current_password": current, "new_password": "a new one!" });
    let wrong = app.post_as(&session, "/api/auth/password", &change("not this one")).await;
    let _ = wrong.expect_error(401, "invalid_credentials");
    let refused = event(&app, "step_up_required").await;
    assert!(is_of(&refused, &session), "{refused:?}");
    assert_eq!(refused.details, json!({ "reason": "wrong_password" }));
    assert_eq!(refused.address.as_deref(), Some("127.0.0.1"));
    let _ = app.post_as(&session, "/api/auth/password", &change(PASSWORD)).await.expect(200);
    for outcome in ["password_refused", "password"] {
        let name = format!("user_service_step_ups_total{{outcome=\"{outcome}\"}}");
        assert_eq!(app.metric(&name).await, 1, "{outcome}");
    }
}

#[tokio::test]
async fn a_password_sent_with_a_request_is_written_with_what_it_allowed_and_not_without() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let passkey = format!("/api/v5/auth/webauthn/credentials/{}", uuid::Uuid::new_v4());
    let with = |password: &str| json!({ "current_password": password });
    let remove = app.request(reqwest::Method::DELETE, &passkey).bearer_auth(&session.access_token);
    let _ = send(remove.json(&with(PASSWORD))).await.expect_error(404, "passkey_not_found");
    // What a replica writes alone it writes in order.
    let wrong = app.post_as(&session, "/api/v5/auth/reauthenticate", &with("not this one")).await;
    let _ = wrong.expect(401);
    let _ = event(&app, "step_up_required").await;
    assert_eq!(events(&app, "stepped_up").await.len(), 0);

    let device = format!("/api/auth/devices/{}", session.device.id);
    let start = "/api/v5/auth/webauthn/register/start";
    let _ = app.post_as(&session, start, &with(PASSWORD)).await.expect(200);
    let wanted =
        json!({ "name": "a", "scopes": ["chat"], "current_password": PASSWORD, "trusted": true });
    let _ = app.post_as(&session, "/api/v5/auth/api-keys", &wanted).await.expect(201);
    let _ = app.patch_as(&session, &device, &wanted).await.expect(200);
    // With no password there is no proof of just then.
    let _ = app.patch_as(&session, &device, &json!({ "trusted": true })).await.expect(200);
    let written = events(&app, "stepped_up").await;
    let by_password = |row: &Row| is_of(row, &session) && row.details["reason"] == "password";
    assert!(written.len() == 3 && written.iter().all(by_password), "{written:?}");
}

#[tokio::test]
async fn who_is_asked_for_a_proof_again_and_again_is_one_event_a_minute_for_each_reason() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    app.clock.turn(chrono::TimeDelta::minutes(6));
    // Of a passkey that nobody knows, to a challenge that nobody made.
    let options = json!({ "publicKey": { "challenge": "AAAA", "rpId": "localhost" } });
    let proof = TestPasskey::new("http://localhost:8080").assert(&options);
    let ask = async |server: &TestServer, path: &str, body: Value| {
        let request = app.client.post(server.url(path)).json(&body);
        let _ = send(request.bearer_auth(&session.access_token)).await.expect(401);
    };
    let minute = || app.now().timestamp() / 60;
    let first = minute();
    for _ in 0..4 {
        for server in [&app.server, &replica] {
            let wanted = json!({ "name": "a", "scopes": ["chat"] });
            ask(server, "/api/v5/auth/api-keys", wanted).await;
            let proof = json!({ "credential": proof });
            ask(server, "/api/v5/auth/webauthn/authenticate/finish", proof).await;
        }
    }
    let minutes = usize::try_from(minute() - first).unwrap() + 1;
    // Wrong passwords have a limit of their own, and each is an event. What a replica takes it
    // writes in order: once they are there, so is all before them.
    for server in [&app.server, &replica, &app.server, &replica] {
        let wrong = json!({ "current_password": "not this one" });
        ask(server, "/api/v5/auth/reauthenticate", wrong).await;
    }
    let of = async |reason: &str| {
        let mut rows = events(&app, "step_up_required").await;
        rows.retain(|row| row.details["reason"] == reason);
        assert!(rows.iter().all(|row| is_of(row, &session)), "{rows:?}");
        rows.len()
    };
    eventually("the passwords are written", || async {
        (of("wrong_password").await == 4).then_some(())
    })
    .await;
    for reason in ["required", "passkey_refused"] {
        assert!((1..=minutes).contains(&of(reason).await), "{reason}");
    }
}

#[tokio::test]
async fn passkeys_and_proofs_by_them_are_written_with_what_they_do() {
    let app = TestApp::start().await;
    let (session, mut passkey) = (app.sign_in().await, TestPasskey::new("http://localhost:8080"));
    let webauthn = "/api/v5/auth/webauthn";
    let begin = async |ceremony: &str| {
        let path = format!("{webauthn}/{ceremony}/start");
        app.post_as(&session, &path, &json!({})).await.expect(200).json
    };
    let credential = passkey.register(&begin("register").await);
    let body = json!({ "name": "laptop", "credential": credential });
    let path = format!("{webauthn}/register/finish");
    let id = app.post_as(&session, &path, &body).await.expect(201).member("passkey_id");
    let added = event(&app, "passkey_added").await;
    assert!(is_of(&added, &session) && added.details["passkey_id"] == id.as_str(), "{added:?}");

    let path = format!("{webauthn}/authenticate/finish");
    let proof = json!({ "credential": passkey.assert(&begin("authenticate").await) });
    let _ = app.post_as(&session, &path, &proof).await.expect(200);
    let proven = event(&app, "stepped_up").await;
    assert!(is_of(&proven, &session) && proven.details["reason"] == "passkey", "{proven:?}");
    let _ = app.post_as(&session, &path, &proof).await.expect(401);
    assert_eq!(event(&app, "step_up_required").await.details["reason"], "passkey_refused");

    let path = format!("{webauthn}/credentials/{id}");
    let _ = app.delete_as(&session, &path).await.expect(200);
    let _ = app.delete_as(&session, &path).await.expect(404);
    let removed = events(&app, "passkey_removed").await;
    assert!(removed.len() == 1 && is_of(&removed[0], &session), "{removed:?}");
}

#[tokio::test]
async fn api_keys_and_roles_are_written_with_what_they_do() {
    let app = TestApp::start().await;
    let (admin, user) = (app.sign_in().await, app.sign_in().await);
    let keys = "/api/v5/auth/api-keys";
    let wanted = json!({ "name": "backup", "scopes": ["chat"] });
    let mut issued = Vec::new();
    for _ in 0..3 {
        issued.push(app.post_as(&user, keys, &wanted).await.expect(201));
    }
    let issuing = event(&app, "api_key_issued").await;
    assert!(is_of(&issuing, &user), "{issuing:?}");
    assert_eq!(issuing.details["key_id"], issued[0].json["key_id"]);
    let path = format!("{keys}/{}", issued[0].member("key_id"));
    let _ = app.delete_as(&user, &path).await.expect(200);
    let _ = app.delete_as(&user, &path).await.expect(404);
    let _ = app.post_token("/api/auth/revoke", &issued[1].member("key")).await.expect(200);
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer horse battery" });
    let _ = app.post_as(&user, "/api/auth/password", &body).await.expect(200);
    let revoked = events(&app, "api_key_revoked").await;
    assert_eq!(revoked.len(), 3);
    assert!(revoked.iter().all(|row| row.user.as_deref() == Some(user.user_id.as_str())));
    assert!(is_of(&revoked[0], &user) && revoked[1].session.is_none(), "{revoked:?}");
    assert_eq!(revoked[2].details, json!({ "keys": 1, "reason": "password_changed" }));

    let promote = format!("UPDATE users SET role = 'admin' WHERE id = '{}'", admin.user_id);
    app.database.connect().await.batch_execute(&promote).await.unwrap();
    let path = format!("/api/v5/auth/users/{}/role", user.user_id);
    let _ = app.patch_as(&user, &path, &json!({ "role": "admin" })).await.expect(403);
    let _ = app.patch_as(&admin, &path, &json!({ "role": "admin" })).await.expect(200);
    let changed = events(&app, "role_changed").await;
    assert!(changed.len() == 2 && is_of(&changed[0], &admin), "{changed:?}");
    assert_eq!(changed[1].user.as_deref(), Some(user.user_id.as_str()));
    // Neither names the other's account: what they share says that they are of one change.
    assert_eq!(changed[0].details, changed[1].details);
    assert!(changed[0].details["change_id"].is_string(), "{changed:?}");
    assert_eq!(changed[0].details["role"], "admin");
}
