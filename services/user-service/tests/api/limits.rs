//! What is bounded, and what goes when its time is over.

use chrono::TimeDelta;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde_json::json;
use test_support::eventually;

use super::support::{PASSWORD, Session, TestApp, header};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    end_reason: Option<String>,
}

async fn end_reasons(connection: &mut AsyncPgConnection) -> Vec<Option<String>> {
    let rows = diesel::sql_query("SELECT end_reason FROM auth_sessions").load(connection).await;
    rows.unwrap().into_iter().map(|row: Row| row.end_reason).collect()
}

#[tokio::test]
async fn a_session_whose_life_is_over_ends_with_its_key_and_goes() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let kid = header(&session.access_token)["kid"].as_str().unwrap().to_owned();
    let mut connection = app.database.connect().await;
    app.clock.turn(TimeDelta::days(31));
    // A replica cleans as it starts.
    let replica = app.replica().await;
    eventually("the session has ended", || async {
        let mut connection = app.database.connect().await;
        (end_reasons(&mut connection).await == [Some("expired".to_owned())]).then_some(())
    })
    .await;
    let set = app.get(&format!("/.well-known/jwks.json?kid={kid}")).await.expect(200);
    assert_eq!(set.json["keys"].as_array().unwrap().len(), 0);
    drop(replica);
    app.clock.turn(TimeDelta::hours(4));
    let _replica = app.replica().await;
    eventually("its row has gone", || async {
        let mut connection = app.database.connect().await;
        end_reasons(&mut connection).await.is_empty().then_some(())
    })
    .await;
    assert!(end_reasons(&mut connection).await.is_empty());
}

#[tokio::test]
async fn a_token_never_outlives_its_session() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::days(30) - TimeDelta::minutes(10));
    let answer = app.refresh(&session.refresh_token).await.expect(200);
    let left = answer.json["expires_in"].as_i64().unwrap();
    assert!((1..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_session_that_rests_too_long_is_over() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__REFRESH__IDLE", "3h")]).await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::minutes(179));
    let token = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    app.clock.turn(TimeDelta::minutes(179));
    let token = app.refresh(&token).await.expect(200).member("refresh_token");
    app.clock.turn(TimeDelta::minutes(181));
    let _ = app.refresh(&token).await.expect_error(401, "invalid_refresh_token");
    assert_eq!(app.metric(r#"user_service_refreshes_total{outcome="expired"}"#).await, 1);
}

#[tokio::test]
async fn past_the_ceiling_the_session_that_has_rested_longest_ends() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__LIMITS__SESSIONS_PER_USER", "2")]).await;
    let first = app.sign_in().await;
    let second = app.log_in(&app.register_device().await, &first.username).await;
    app.clock.turn(TimeDelta::minutes(1));
    let _ = app.refresh(&first.refresh_token).await.expect(200);
    let device = app.register_device().await;
    let body = app.login_body(&device, &first.username);
    let answer = app.post("/api/auth/login", &body).await.expect(200);
    let ended = answer.json["ended_sessions"].as_array().unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["session_id"], second.id);
    assert_eq!(ended[0]["device_id"], second.device.id);
    let third = Session {
        access_token: answer.member("access_token"),
        refresh_token: answer.member("refresh_token"),
        ..second.clone()
    };
    // Another login on the same device ends no other.
    let body = app.login_body(&device, &first.username);
    let again = app.post("/api/auth/login", &body).await.expect(200);
    assert_eq!(again.json["ended_sessions"], json!([]));
    let third = Session { access_token: again.member("access_token"), ..third };
    assert!(app.is_live(&first).await && app.is_live(&third).await);
    assert!(!app.is_live(&second).await);
}

#[tokio::test]
async fn a_device_logs_in_so_often_and_no_more() {
    let app =
        TestApp::with(&[ES256, ("USER_SERVICE__LIMITS__LOGINS_PER_DEVICE_PER_HOUR", "2")]).await;
    let session = app.sign_in().await;
    let _ = app.log_in(&session.device, &session.username).await;
    let body = app.login_body(&session.device, &session.username);
    let limited = app.post("/api/auth/login", &body).await.expect_error(429, "rate_limited");
    assert_ne!(limited.header("retry-after"), "");
    let metric = r#"user_service_login_attempts_total{outcome="refused",reason="rate_limited"}"#;
    assert_eq!(app.metric(metric).await, 1);
    // Another device of the same person is another matter.
    let _ = app.log_in(&app.register_device().await, &session.username).await;
}

#[tokio::test]
async fn who_holds_a_token_can_t_guess_the_password_for_long() {
    let app =
        TestApp::with(&[ES256, ("USER_SERVICE__LIMITS__PASSWORD_CHECKS_PER_HOUR", "2")]).await;
    let session = app.sign_in().await;
    let guess = json!({ "current_password": "a wrong password", "new_password": "never set this" });
    for _ in 0..2 {
        let answer = app.post_as(&session, "/api/auth/password", &guess).await;
        let _ = answer.expect_error(401, "invalid_credentials");
    }
    let limited = app.post_as(&session, "/api/auth/password", &guess).await;
    let _ = limited.expect_error(429, "rate_limited");
    // Others, and the person's own login, are not held up.
    let _ = app.log_in(&session.device, &session.username).await;
    let other = app.sign_in().await;
    let change = json!({ "current_password": PASSWORD, "new_password": "another password" });
    let _ = app.post_as(&other, "/api/auth/password", &change).await.expect(200);
}

#[tokio::test]
async fn a_cursor_from_before_all_time_is_refused() {
    use base64::Engine as _;
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let key = format!("-8000000000000000000/{}", session.id);
    let cursor = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key);
    let answer = app.get_as(&session, &format!("/api/auth/sessions?before={cursor}")).await;
    let _ = answer.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn keys_are_counted_by_state() {
    let app = TestApp::with(&[ES256]).await;
    let (_one, two) = (app.sign_in().await, app.sign_in().await);
    let _ = app.log_out(&two.refresh_token).await.expect(200);
    let replica = app.replica().await;
    for state in ["active", "revoked"] {
        eventually("the states are counted", || async {
            let text = reqwest::get(replica.admin_url("/metrics")).await.unwrap().text().await;
            let line = format!(r#"user_service_keys{{state="{state}"}} 1"#);
            text.unwrap().contains(&line).then_some(())
        })
        .await;
    }
}
