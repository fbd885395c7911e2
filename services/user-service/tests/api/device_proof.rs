//! Refreshes that prove their device.

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::support::{TestApp, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

#[tokio::test]
async fn with_a_proof_a_lost_answer_comes_again_as_often_and_as_late_as_it_takes() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__REFRESH__GRACE", "0")]).await;
    let session = app.sign_in().await;
    let body = session.device.refresh(&session.refresh_token, app.now().timestamp_millis());
    let first = app.post("/api/auth/refresh", &body).await.expect(200).member("refresh_token");
    for _ in 0..20 {
        let again = app.post("/api/auth/refresh", &body).await.expect(200);
        assert_eq!(again.member("refresh_token"), first);
    }
    app.clock.turn(TimeDelta::days(3));
    let late = app.post("/api/auth/refresh", &body).await;
    let _ = late.expect_error(401, "invalid_device_proof");
    let agent = app.request(Method::POST, "/api/auth/refresh").header("user-agent", "updated/2");
    let fresh = session.device.refresh(&session.refresh_token, app.now().timestamp_millis());
    let again = send(agent.json(&fresh)).await.expect(200);
    assert_eq!(again.member("refresh_token"), first);
    // One rotation so far; the rest were answers that got lost.
    assert_eq!(app.metric(r#"user_service_refreshes_total{outcome="rotated"}"#).await, 1);
    let _ = app.refresh_proven(&session, &first).await.expect(200);
    // Its successor has been used: now it is a replay, proof or not.
    let old = app.refresh_proven(&session, &session.refresh_token).await;
    let _ = old.expect_error(401, "invalid_refresh_token");
    assert!(!app.is_live(&session).await);
}

#[tokio::test]
async fn who_has_once_shown_a_proof_must_show_it_ever_after() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let token = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    let token = app.refresh_proven(&session, &token).await.expect(200).member("refresh_token");
    for old in [&token, &session.refresh_token] {
        let _ = app.refresh(old).await.expect_error(401, "invalid_device_proof");
    }
    assert!(app.is_live(&session).await);
    let metric = r#"user_service_refreshes_total{outcome="unproven"}"#;
    assert_eq!(app.metric(metric).await, 2);
    let _ = app.refresh_proven(&session, &token).await.expect(200);
    // Another session on the device begins anew.
    let again = app.log_in(&session.device, &session.username).await;
    let _ = app.refresh(&again.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_ends_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let stranger = app.sign_in().await;
    let (token, now) = (&session.refresh_token, app.now().timestamp_millis());
    let mut bodies = vec![
        stranger.device.refresh(token, now),
        session.device.refresh(token, now - 301_000),
        session.device.refresh(token, now + 301_000),
    ];
    let right = session.device.refresh(token, now);
    for (member, value) in [
        ("nonce", "short"),
        ("nonce", "another-nonce-of-some-length"),
        ("timestamp", "now"),
        ("signature", "00"),
        ("signature", ""),
    ] {
        let mut wrong = right.clone();
        wrong["device_proof"][member] = json!(value);
        bodies.push(wrong);
    }
    let mut of_another_token = stranger.device.refresh(&stranger.refresh_token, now);
    of_another_token["refresh_token"] = json!(token);
    bodies.push(of_another_token);
    for body in bodies {
        let refused = app.post("/api/auth/refresh", &body).await;
        let _ = refused.expect_error(401, "invalid_device_proof");
    }
    let mut halved = right.clone();
    halved["device_proof"].as_object_mut().unwrap().remove("nonce");
    let answer = app.post("/api/auth/refresh", &halved).await.expect_error(400, "invalid_request");
    assert_eq!(answer.json["details"]["field"], "device_proof.nonce");
    assert!(app.is_live(&session).await);
    // None of them made it a session that asks for proofs.
    let _ = app.refresh(token).await.expect(200);
}

#[tokio::test]
async fn where_proofs_are_required_nobody_refreshes_without() {
    let required = ("USER_SERVICE__REFRESH__DEVICE_PROOF", "required");
    let app = TestApp::with(&[ES256, required]).await;
    let session = app.sign_in().await;
    let refused = app.refresh(&session.refresh_token).await;
    let _ = refused.expect_error(401, "invalid_device_proof");
    let _ = app.refresh_proven(&session, &session.refresh_token).await.expect(200);
    // Logging out needs none.
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert!(!app.is_live(&session).await);
    let refused = app.refresh_proven(&session, &session.refresh_token).await;
    let _ = refused.expect_error(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_refresh_without_a_proof_never_overtakes_the_first_with_one() {
    let app = TestApp::with(&[ES256]).await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    let with = session.device.refresh(&session.refresh_token, app.now().timestamp_millis());
    let without = json!({ "refresh_token": session.refresh_token });
    let answers = join_all((0..20).map(|number| {
        let server = if number % 2 == 0 { &app.server } else { &replica };
        let body = if number == 10 { &with } else { &without };
        send(app.client.post(server.url("/api/auth/refresh")).json(body))
    }))
    .await;
    let proven = answers[10].json["refresh_token"].as_str().map(str::to_owned);
    for answer in answers {
        match answer.status.as_u16() {
            200 => assert_eq!(Some(answer.member("refresh_token")), proven),
            409 => {}
            _ => drop(answer.expect_error(401, "invalid_device_proof")),
        }
    }
    let retried = app.refresh(&session.refresh_token).await;
    let _ = retried.expect_error(401, "invalid_device_proof");
    assert!(app.is_live(&session).await);
}
