//! Keys that somebody damaged in the database, by hand, under a running service.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use test_support::{Answer, TestServer};

use super::support::{PASSWORD, Session, TestApp, header, send};

fn kid(session: &Session) -> String {
    header(&session.access_token)["kid"].as_str().unwrap().to_owned()
}

/// A statement that puts the SQL `value` in the place of a keyset's member `m`.
fn damage(kid: &str, value: &str) -> String {
    format!(
        "UPDATE user_keysets SET keyset = jsonb_set(keyset, '{{keys}}', (
             SELECT jsonb_agg(CASE WHEN m->>'kid' = '{kid}' THEN {value} ELSE m END)
             FROM jsonb_array_elements(keyset->'keys') AS m))
         WHERE keyset::text LIKE '%{kid}%'"
    )
}

/// Two devices of one user and one of another's; nothing of them is in the replica's memory.
async fn start() -> (TestApp, TestServer, [Session; 3]) {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let first = app.sign_in().await;
    let sibling = app.log_in(&app.register_device().await, &first.username).await;
    let other = app.sign_in().await;
    (app, replica, [first, sibling, other])
}

async fn refresh(app: &TestApp, replica: &TestServer, session: &Session) -> Answer {
    let body = json!({ "refresh_token": session.refresh_token });
    send(app.client.post(replica.url("/api/auth/refresh")).json(&body)).await
}

async fn show(app: &TestApp, replica: &TestServer, token: &str) -> Answer {
    send(app.client.get(replica.url("/api/auth/sessions")).bearer_auth(token)).await
}

async fn log_in(app: &TestApp, replica: &TestServer, session: &Session) -> Answer {
    let body = session.device.login(&session.username, PASSWORD, app.now().timestamp_millis());
    send(app.client.post(replica.url("/api/auth/login")).json(&body)).await
}

async fn kids(app: &TestApp, replica: &TestServer, query: &str) -> Vec<Value> {
    let set = send(app.client.get(replica.url(&format!("/.well-known/jwks.json{query}")))).await;
    let keys = set.expect(200).json["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
}

/// That everybody but the first goes on, and the first again after a login.
async fn others_live_on(app: &TestApp, replica: &TestServer, sessions: &[Session; 3]) {
    let served = kids(app, replica, "").await;
    for session in &sessions[1..] {
        assert!(served.contains(&json!(kid(session))), "{served:?}");
        let answer = refresh(app, replica, session).await.expect(200);
        let _ = show(app, replica, &answer.member("access_token")).await.expect(200);
    }
    let answer = log_in(app, replica, &sessions[0]).await.expect(200);
    let _ = show(app, replica, &answer.member("access_token")).await.expect(200);
    let body = json!({ "refresh_token": answer.member("refresh_token") });
    let _ = send(app.client.post(replica.url("/api/auth/refresh")).json(&body)).await.expect(200);
    let _ = show(app, replica, &sessions[0].access_token).await.expect(401);
    assert!(kids(app, replica, "").await.iter().all(Value::is_string));
}

#[tokio::test]
async fn a_private_key_damaged_by_hand_is_reported_and_costs_its_own_device_one_login() {
    for value in [
        "jsonb_set(m, '{sealed}', to_jsonb(overlay(m->>'sealed' placing '00ff00ff' from 81)))",
        "jsonb_set(m, '{sealed}', to_jsonb(left(m->>'sealed', 20)))",
        "jsonb_set(m, '{sealed}', '\"no hex\"')",
        "jsonb_set(m, '{sealed}', '7')",
        "m - 'device_id'",
        "'\"garbage\"'",
    ] {
        let (app, replica, sessions) = start().await;
        let statement = damage(&kid(&sessions[0]), value);
        app.database.connect().await.batch_execute(&statement).await.unwrap();
        let refused = refresh(&app, &replica, &sessions[0]).await;
        let _ = refused.expect_error(401, "invalid_refresh_token");
        let metric = "user_service_damaged_keys_total{part=\"private\"}";
        assert_eq!(app.metric_of(&replica, metric).await, 1, "{value}");
        others_live_on(&app, &replica, &sessions).await;
    }
}

#[tokio::test]
async fn a_public_key_damaged_by_hand_is_reported_and_breaks_nobody_s_key_set() {
    for jwk in [
        "'\"garbage\"'",
        "'[]'",
        "jsonb_set(public_jwk, '{n}', '\"=!=\"')",
        "jsonb_set(public_jwk, '{kid}', '7')",
        "public_jwk - 'kty'",
    ] {
        let (app, replica, sessions) = start().await;
        let damaged = kid(&sessions[0]);
        let statement =
            format!("UPDATE published_keys SET public_jwk = {jwk} WHERE kid = '{damaged}'");
        app.database.connect().await.batch_execute(&statement).await.unwrap();
        let refused = show(&app, &replica, &sessions[0].access_token).await;
        let _ = refused.expect_error(401, "invalid_token");
        let metric = "user_service_damaged_keys_total{part=\"public\"}";
        assert_eq!(app.metric_of(&replica, metric).await, 1, "{jwk}");
        assert!(kids(&app, &replica, &format!("?kid={damaged}")).await.is_empty(), "{jwk}");
        assert!(!kids(&app, &replica, "").await.contains(&json!(damaged)), "{jwk}");
        assert_eq!(app.metric_of(&replica, "user_service_jwks_damaged_keys").await, 1, "{jwk}");
        others_live_on(&app, &replica, &sessions).await;
    }
}

#[tokio::test]
async fn a_row_that_is_no_keyset_any_more_is_written_anew_by_the_next_login() {
    let (app, replica, sessions) = start().await;
    let user = &sessions[0].user_id;
    let statement = format!("UPDATE user_keysets SET keyset = '\"x\"' WHERE user_id = '{user}'");
    app.database.connect().await.batch_execute(&statement).await.unwrap();
    for session in &sessions[..2] {
        let refused = refresh(&app, &replica, session).await;
        let _ = refused.expect_error(401, "invalid_refresh_token");
        let answer = log_in(&app, &replica, session).await.expect(200);
        let _ = show(&app, &replica, &answer.member("access_token")).await.expect(200);
    }
    let _ = refresh(&app, &replica, &sessions[2]).await.expect(200);
}
