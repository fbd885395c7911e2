//! Sessions that end while a request of theirs is under way: nothing sensitive is done for them.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use test_support::{RawAnswer, RawConnection, TestPasskey, eventually};

use super::browser_support::{FIREFOX, LOGOUT, SESSIONS, log_in};
use super::security_events::{event, events, is_of};
use super::support::{PASSWORD, Session, TestApp, blocked, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const WEBAUTHN: &str = "/api/v5/auth/webauthn";
const NEW_PASSWORD: &str = "a longer horse battery";

/// Method, path and body of something sensitive, and what it answers to who is signed in.
type Action = (&'static str, String, Value, u16);

/// Sends an action whose body is still on the way when its head has been judged and found good, does
/// something else, and lets the rest of the body follow.
async fn in_two_halves(
    app: &TestApp,
    head_lines: &str,
    (method, path, body, _): &Action,
    meanwhile: impl Future<Output = ()>,
) -> RawAnswer {
    let body = body.to_string();
    let (begun, rest) = body.split_at(1);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{head_lines}\
         Content-Length: {}\r\n\r\n{begun}",
        body.len()
    );
    let mut connection = RawConnection::open(app.server.address()).await;
    // Whether the token was revoked by itself is what its judge asks last.
    let mut judge = app.database.connect().await;
    judge.batch_execute("BEGIN; LOCK TABLE key_changes").await.unwrap();
    connection.send(head.as_bytes()).await;
    let asks = "wait_event_type = 'Lock' AND query LIKE '%kind = ''jti''%'";
    statements(app, asks, 1).await;
    judge.batch_execute("COMMIT").await.unwrap();
    statements(app, "state = 'active'", 0).await;
    meanwhile.await;
    connection.ask(rest.as_bytes()).await
}

/// Waits until the app has so many statements of that state.
async fn statements(app: &TestApp, state: &str, number: i64) {
    let query = format!(
        "SELECT count(*) AS count FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND {state}"
    );
    eventually(state, || async {
        (count(&mut app.database.connect().await, &query).await == number).then_some(())
    })
    .await;
}

fn bearer(session: &Session) -> String {
    format!("Authorization: Bearer {}\r\n", session.access_token)
}

/// What nothing may have been done to: the numbers of API keys, passkeys, devices that are trusted,
/// admins, and changes of passwords.
async fn done(app: &TestApp) -> [i64; 5] {
    let mut database = app.database.connect().await;
    let mut counts = [0; 5];
    for (count_of, what) in counts.iter_mut().zip([
        "api_keys",
        "passkeys",
        "devices WHERE trusted",
        "users WHERE role = 'admin'",
        "users WHERE password_version > 1",
    ]) {
        *count_of = count(&mut database, &format!("SELECT count(*) AS count FROM {what}")).await;
    }
    counts
}

/// Checks that an action is done for who stays, and refused, as to anybody who has logged out, to who
/// logs out while its body is on the way. The phone is whose sessions it would end.
async fn judge(
    app: &TestApp,
    phone: &Session,
    head_lines: &str,
    action: &Action,
    log_out: Option<impl Future<Output = ()>>,
) {
    let before = (done(app).await, app.is_live(phone).await);
    let Some(log_out) = log_out else {
        let answer = in_two_halves(app, head_lines, action, async {}).await;
        assert_eq!(answer.status, action.3, "{action:?}: {answer:?}");
        return;
    };
    let answer = in_two_halves(app, head_lines, action, log_out).await;
    let found = (answer.status, answer.json["code"].as_str());
    assert_eq!(found, (401, Some("invalid_token")), "{action:?}: {answer:?}");
    assert_eq!((done(app).await, app.is_live(phone).await), before, "{action:?}");
}

/// Starts to add `passkey` in this session.
async fn registration(app: &TestApp, session: &Session, passkey: &mut TestPasskey) -> Value {
    let path = format!("{WEBAUTHN}/register/start");
    let options = app.post_as(session, &path, &json!({})).await.expect(200).json;
    json!({ "name": "laptop", "credential": passkey.register(&options) })
}

#[tokio::test]
async fn who_logs_out_while_a_body_is_on_the_way_has_nothing_sensitive_done() {
    let app = TestApp::with(&[ES256]).await;
    let (phone, other) = (app.sign_in().await, app.sign_in().await);
    let promote = format!("UPDATE users SET role = 'admin' WHERE id = '{}'", phone.user_id);
    app.database.connect().await.batch_execute(&promote).await.unwrap();
    let page = "http://localhost:8080";
    let body = registration(&app, &phone, &mut TestPasskey::new(page)).await;
    let finish = format!("{WEBAUTHN}/register/finish");
    let passkey = app.post_as(&phone, &finish, &body).await.expect(201).member("passkey_id");
    let device = format!("/api/auth/devices/{}", phone.device.id);
    let actions: [Action; 9] = [
        (
            "POST",
            "/api/v5/auth/reauthenticate".into(),
            json!({ "current_password": PASSWORD }),
            200,
        ),
        ("POST", "/api/v5/auth/api-keys".into(), json!({ "name": "a", "scopes": ["chat"] }), 201),
        ("POST", finish, Value::Null, 201),
        ("DELETE", format!("{WEBAUTHN}/credentials/{passkey}"), json!({}), 200),
        (
            "PATCH",
            format!("/api/v5/auth/users/{}/role", other.user_id),
            json!({ "role": "admin" }),
            200,
        ),
        ("PATCH", device.clone(), json!({ "trusted": true }), 200),
        ("DELETE", format!("/api/auth/sessions/{}", phone.id), json!({}), 200),
        ("DELETE", device, json!({}), 200),
        (
            "POST",
            "/api/auth/password".into(),
            json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD }),
            200,
        ),
    ];
    for mut action in actions {
        for stays in [false, true] {
            let session = app.log_in(&app.register_device().await, &phone.username).await;
            if action.1.ends_with("register/finish") {
                action.2 = registration(&app, &session, &mut TestPasskey::new(page)).await;
            }
            let log_out = async {
                let _ = app.log_out(&session.refresh_token).await.expect(200);
            };
            let leave = (!stays).then_some(log_out);
            judge(&app, &phone, &bearer(&session), &action, leave).await;
        }
    }
}

#[tokio::test]
async fn in_browsers_too_an_ended_session_does_nothing_sensitive() {
    let app = TestApp::with(&[ES256]).await;
    let phone = app.sign_in().await;
    let device = format!("/api/v5/auth/devices/{}", phone.device.id);
    let actions: [Action; 5] = [
        ("POST", "/api/v5/auth/api-keys".into(), json!({ "name": "a", "scopes": ["chat"] }), 201),
        ("PATCH", device.clone(), json!({ "trusted": true }), 200),
        ("DELETE", format!("{SESSIONS}/{}", phone.id), json!({}), 200),
        ("DELETE", device, json!({}), 200),
        (
            "POST",
            "/api/v5/auth/password".into(),
            json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD }),
            200,
        ),
    ];
    for action in actions {
        for stays in [false, true] {
            let browser = app.browser().await;
            let _ = log_in(&browser, &phone.username).await.expect(200);
            let log_out = async {
                let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
            };
            let leave = (!stays).then_some(log_out);
            let head_lines = format!("User-Agent: {FIREFOX}\r\n{}", browser.head_lines());
            judge(&app, &phone, &head_lines, &action, leave).await;
        }
    }
}

#[tokio::test]
async fn a_revoked_token_does_nothing_sensitive_either() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let action: Action =
        ("POST", "/api/v5/auth/api-keys".into(), json!({ "name": "a", "scopes": ["chat"] }), 201);
    let revoke = async {
        let _ = app.post_token("/api/auth/revoke", &session.access_token).await.expect(200);
    };
    let answer = in_two_halves(&app, &bearer(&session), &action, revoke).await;
    assert_eq!((answer.status, &answer.json["code"]), (401, &json!("invalid_token")));
    assert_eq!(done(&app).await, [0; 5]);
}

#[tokio::test]
async fn an_ended_session_has_no_password_judged_be_it_right_or_wrong() {
    let limit = ("USER_SERVICE__LIMITS__PASSWORD_CHECKS_PER_HOUR", "1");
    let app = TestApp::with(&[ES256, limit]).await;
    let phone = app.sign_in().await;
    let paths = ["/api/v5/auth/reauthenticate", "/api/v5/auth/api-keys", "/api/auth/password"];
    let body = |password: &str| {
        json!({ "current_password": password, "new_password": NEW_PASSWORD,
            "name": "a", "scopes": ["chat"] })
    };
    for (path, password) in
        paths.iter().flat_map(|path| [(*path, PASSWORD), (*path, "not this one")])
    {
        let session = app.log_in(&app.register_device().await, &phone.username).await;
        let action = ("POST", path.into(), body(password), 401);
        let log_out = async {
            let _ = app.log_out(&session.refresh_token).await.expect(200);
        };
        let answer = in_two_halves(&app, &bearer(&session), &action, log_out).await;
        let found = (answer.status, answer.json["code"].as_str());
        assert_eq!(found, (401, Some("invalid_token")), "{action:?}: {answer:?}");
    }
    // The one check that the hour has is left, and what is written after it was written in order.
    let wrong = app.post_as(&phone, paths[0], &body("not this one")).await;
    let _ = wrong.expect_error(401, "invalid_credentials");
    assert!(is_of(&event(&app, "step_up_required").await, &phone));
    assert_eq!(events(&app, "stepped_up").await.len(), 0);
    for (outcome, number) in [("password", 0), ("password_refused", 1)] {
        let metric = format!("user_service_step_ups_total{{outcome=\"{outcome}\"}}");
        assert_eq!(app.metric(&metric).await, number, "{outcome}");
    }
}

#[tokio::test]
async fn a_session_that_ends_before_its_turn_comes_ends_no_others() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, logged_in) = app.browse_as("alice").await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let mut owner = app.database.connect().await;
    owner.batch_execute("BEGIN; SELECT FROM user_keysets FOR UPDATE").await.unwrap();
    let (answer, ()) = tokio::join!(browser.delete(SESSIONS), async {
        blocked(&app, 1).await;
        let end = format!(
            "UPDATE auth_sessions SET ended_at = now(), end_reason = 'logout' WHERE id = '{}'; COMMIT",
            logged_in["session_id"].as_str().unwrap()
        );
        owner.batch_execute(&end).await.unwrap();
    });
    let _ = answer.expect_error(401, "invalid_token");
    assert!(app.is_live(&phone).await);
}
