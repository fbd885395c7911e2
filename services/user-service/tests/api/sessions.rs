use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::step_up::check_removal;
use super::support::{PASSWORD, Session, TestApp, claims, send};

#[tokio::test]
async fn a_refresh_rotates_the_token_and_keeps_session_and_key() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let answer = app.refresh(&session.refresh_token).await.expect(200);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_ne!(answer.member("refresh_token"), session.refresh_token);
    let (old, new) = (claims(&session.access_token), claims(&answer.member("access_token")));
    assert_eq!((&old["sid"], &old["user_id"]), (&new["sid"], &new["user_id"]));
    assert_ne!(old["jti"], new["jti"]);
    let _ = app.refresh(&answer.member("refresh_token")).await.expect(200);
    assert_eq!(app.metric(r#"user_service_refreshes_total{outcome="rotated"}"#).await, 2);
}

#[tokio::test]
async fn the_last_token_again_gives_the_same_successor_within_the_grace_window() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let first = app.refresh(&session.refresh_token).await.expect(200);
    let again = app.refresh(&session.refresh_token).await.expect(200);
    assert_eq!(first.member("refresh_token"), again.member("refresh_token"));
    assert_ne!(first.member("access_token"), again.member("access_token"));
    let _ = app.refresh(&first.member("refresh_token")).await.expect(200);
    // Now it is older than the last one.
    let _ = app.refresh(&session.refresh_token).await.expect_error(401, "invalid_refresh_token");
    assert!(!app.is_live(&session).await);
    assert_eq!(app.metric(r#"user_service_refreshes_total{outcome="replay"}"#).await, 1);
}

#[tokio::test]
async fn the_last_token_too_late_or_from_another_agent_ends_the_session() {
    let app = TestApp::start().await;
    let late = app.sign_in().await;
    let successor = app.refresh(&late.refresh_token).await.expect(200);
    app.clock.turn(TimeDelta::seconds(11));
    let _ = app.refresh(&late.refresh_token).await.expect_error(401, "invalid_refresh_token");
    let _ = app.refresh(&successor.member("refresh_token")).await.expect(401);

    let stolen = app.sign_in().await;
    let _ = app.refresh(&stolen.refresh_token).await.expect(200);
    let thief = app
        .request(Method::POST, "/api/auth/refresh")
        .header("user-agent", "curl/8")
        .json(&json!({ "refresh_token": stolen.refresh_token }));
    let _ = send(thief).await.expect_error(401, "invalid_refresh_token");
    assert!(!app.is_live(&stolen).await);
}

#[tokio::test]
async fn many_refreshes_at_once_give_one_successor() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    let body = json!({ "refresh_token": session.refresh_token });
    let requests = (0..30).map(|number| {
        let server = if number % 2 == 0 { &app.server } else { &replica };
        send(app.client.post(server.url("/api/auth/refresh")).json(&body))
    });
    let answers = join_all(requests).await;
    let mut successors: Vec<String> = Vec::new();
    for answer in &answers {
        match answer.status.as_u16() {
            200 => successors.push(answer.member("refresh_token")),
            409 => assert_eq!(answer.header("retry-after"), "1"),
            _ => panic!("{}", answer.text),
        }
    }
    successors.sort();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    let _ = app.refresh(&successors[0]).await.expect(200);
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused_and_end_nothing() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let mut flipped = session.refresh_token.clone();
    let last = flipped.pop().unwrap();
    flipped.push(if last == 'A' { 'Q' } else { 'A' });
    for forged in ["", "lkr_", "lkr_AAAA", "x", &flipped, &session.access_token] {
        let _ = app.refresh(forged).await.expect_error(401, "invalid_refresh_token");
        let _ = app.log_out(forged).await.expect(200);
    }
    let other = TestApp::with(&[(
        "USER_SERVICE__REFRESH__MAC_KEYS",
        "1:0000000000000000000000000000000000000000000000000000000000000000",
    )])
    .await;
    let _ = other.refresh(&session.refresh_token).await.expect(401);
    assert!(app.is_live(&session).await);
    let _ = app.post("/api/auth/refresh", &json!({})).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn rotations_are_limited_and_a_new_login_does_not_reset_them() {
    let app = TestApp::with(&[("USER_SERVICE__REFRESH__ROTATIONS_PER_HOUR", "3")]).await;
    let session = app.sign_in().await;
    let mut token = session.refresh_token.clone();
    for _ in 0..3 {
        token = app.refresh(&token).await.expect(200).member("refresh_token");
    }
    let limited = app.refresh(&token).await.expect_error(429, "rate_limited");
    let after: i64 = limited.header("retry-after").parse().unwrap();
    assert!((3500..=3600).contains(&after), "{after}");
    let again = app.log_in(&session.device, &session.username).await;
    let _ = app.refresh(&again.refresh_token).await.expect_error(429, "rate_limited");
    app.clock.turn(TimeDelta::minutes(61));
    let _ = app.refresh(&again.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_session_has_an_absolute_life() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::days(29));
    let token = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    app.clock.turn(TimeDelta::days(1));
    let _ = app.refresh(&token).await.expect_error(401, "invalid_refresh_token");
    assert_eq!(app.metric(r#"user_service_refreshes_total{outcome="expired"}"#).await, 1);
}

#[tokio::test]
async fn logout_ends_the_session_with_any_of_its_tokens_and_says_nothing() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let successor = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    let first = app.log_out(&session.refresh_token).await.expect(200);
    let second = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(first.json, second.json);
    assert!(!app.is_live(&session).await);
    let _ = app.refresh(&successor).await.expect_error(401, "invalid_refresh_token");
}

#[tokio::test]
async fn logout_all_and_a_password_change_end_the_others() {
    let app = TestApp::start().await;
    let first = app.sign_in().await;
    let second = app.log_in(&app.register_device().await, &first.username).await;
    let third = app.log_in(&app.register_device().await, &first.username).await;
    let stranger = app.sign_in().await;

    let change =
        |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let wrong = app
        .post_as(&first, "/api/auth/password", &change("wrong password", "a new password!"))
        .await;
    let _ = wrong.expect_error(401, "invalid_credentials");
    let common = app.post_as(&first, "/api/auth/password", &change(PASSWORD, "password")).await;
    assert_eq!(
        common.expect_error(400, "invalid_request").json["details"]["field"],
        "new_password"
    );
    assert!(app.is_live(&second).await);
    let changed =
        app.post_as(&first, "/api/auth/password", &change(PASSWORD, "a new password!")).await;
    let _ = changed.expect(200);
    assert!(app.is_live(&first).await);
    assert!(!app.is_live(&second).await && !app.is_live(&third).await);
    let body = app.login_body(&second.device, &second.username);
    let _ = app.post("/api/auth/login", &body).await.expect_error(401, "invalid_credentials");
    let now = app.now().timestamp_millis();
    let body = second.device.login(&second.username, "a new password!", now);
    let _ = app.post("/api/auth/login", &body).await.expect(200);

    let all = app.post_as(&first, "/api/auth/logout-all", &json!({})).await.expect(200);
    assert_eq!(all.json["sessions_ended"], 2);
    assert!(!app.is_live(&first).await);
    assert!(app.is_live(&stranger).await);
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_and_ended_one_by_one() {
    let app = TestApp::start().await;
    let first = app.sign_in().await;
    let second = app.log_in(&app.register_device().await, &first.username).await;
    let page = app.get_as(&second, "/api/auth/sessions?limit=1").await.expect(200);
    let item = &page.json["items"][0];
    assert_eq!((&item["session_id"], &item["current"]), (&json!(second.id), &json!(true)));
    assert_eq!((&item["device_name"], &item["user_agent"]), (&json!("phone"), &json!("test/1")));
    assert_eq!(item["address_range"], "127.0.0.0/24");
    assert!(item["started_at"].as_str().unwrap().ends_with('Z'));
    let next = page.member("next_before");
    let page = app.get_as(&second, &format!("/api/auth/sessions?before={next}")).await.expect(200);
    assert_eq!(page.json["items"][0]["session_id"], first.id);
    assert_eq!(page.json["items"].as_array().unwrap().len(), 1);
    assert!(page.json["next_before"].is_null());
    for bad in ["limit=0", "limit=201", "limit=x", "before=x"] {
        let answer = app.get_as(&second, &format!("/api/auth/sessions?{bad}")).await;
        let _ = answer.expect_error(400, "invalid_request");
    }

    let path = format!("/api/auth/sessions/{}", first.id);
    let stranger = app.sign_in().await;
    let _ = app.delete_as(&stranger, &path).await.expect_error(404, "session_not_found");
    let _ = app.delete_as(&second, &path).await.expect(200);
    assert!(!app.is_live(&first).await);
    let _ = app.delete_as(&second, &path).await.expect_error(404, "session_not_found");
    let _ =
        app.delete_as(&second, "/api/auth/sessions/x").await.expect_error(404, "session_not_found");
}

#[tokio::test]
async fn another_session_is_ended_only_by_who_proves_to_be_its_owner() {
    let app = TestApp::start().await;
    let other = app.sign_in().await;
    let session = app.log_in(&app.register_device().await, &other.username).await;
    app.clock.turn(TimeDelta::minutes(6));
    let path = format!("/api/auth/sessions/{}", other.id);
    // Whether there is such a session is told to its owner alone.
    let unknown = app.delete_as(&session, "/api/auth/sessions/x").await;
    let _ = unknown.expect_error(401, "insufficient_user_authentication");
    check_removal(&app, &session, &path, &other).await;
    // A login of the last minutes does as well, and one's own needs no more than itself.
    let other = app.log_in(&app.register_device().await, &session.username).await;
    let last = app.log_in(&app.register_device().await, &session.username).await;
    let path = |session: &Session| format!("/api/auth/sessions/{}", session.id);
    let _ = app.delete_as(&last, &path(&other)).await.expect(200);
    assert!(!app.is_live(&other).await);
    let _ = app.delete_as(&session, &path(&last)).await.expect(401);
    let _ = app.delete_as(&session, &path(&session)).await.expect(200);
    assert!(!app.is_live(&session).await && app.is_live(&last).await);
}

#[tokio::test]
async fn a_refresh_and_a_logout_at_once_leave_nothing_alive() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        let session = app.sign_in().await;
        let (refreshed, _) =
            tokio::join!(app.refresh(&session.refresh_token), app.log_out(&session.refresh_token));
        assert!(!app.is_live(&session).await);
        if refreshed.status == 200 {
            let _ = app.refresh(&refreshed.member("refresh_token")).await.expect(401);
        }
    }
}
