//! Two replicas on one database: what ends at one is over at the other.

use std::time::{Duration, Instant};

use auth_manager::unlink_all;
use reqwest::Method;
use test_support::{Browser, ProxyFault, TestServer, eventually};

use crate::logout::catch;
use crate::support::{TestApp, data, text};

/// Replicas remember callers for so long that nothing is forgotten by itself.
async fn start() -> (TestApp, TestServer) {
    let settings = [
        ("AUTH_MANAGER__CALLERS__CACHE", "5m"),
        ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "1000"),
    ];
    let app = TestApp::start_with(&settings, "").await;
    let replica = app.replica().await;
    (app, replica)
}

async fn until_refused(app: &TestApp, replica: &TestServer, token: &str) {
    eventually("it is refused", async || {
        let answer = app.ask_at(replica, Method::GET, "/validate-token", token).await;
        (answer.status == 401 && answer.json["code"] == "token_not_active").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_logout_that_one_replica_hears_of_is_one_at_every_replica() {
    let (app, replica) = start().await;
    let tokens = app.tokens_of(&app.realm, &app.user, "openid").await;
    let token = text(&tokens, "access_token");
    app.ask_at(&replica, Method::GET, "/validate-token", token).await.expect(200);
    let logout = catch(&app, text(&tokens, "session_state")).await;
    app.post_logout_token(&logout).await.expect(200);
    until_refused(&app, &replica, token).await;
}

#[tokio::test]
async fn a_session_ended_at_one_replica_opens_nothing_at_any_though_keycloak_goes_on_with_it() {
    let (app, replica) = start().await;
    let (ended, other) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let token = text(&ended, "access_token");
    app.ask_at(&replica, Method::GET, "/validate-token", token).await.expect(200);
    app.proxy.fail("/revoke", ProxyFault::Answer(503, ""));
    app.proxy.fail("/sessions/", ProxyFault::Answer(503, ""));
    let path = format!("/sessions/{}", text(&ended, "session_id"));
    let started = Instant::now();
    app.ask(Method::DELETE, &path, text(&other, "access_token")).await.expect(200);
    until_refused(&app, &replica, token).await;
    // A replica that is not told looks at a session again after ten seconds.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn who_was_not_listening_at_the_end_of_a_session_remembers_nobody_afterwards() {
    let (app, replica) = start().await;
    let tokens = app.tokens_of(&app.realm, &app.user, "openid").await;
    let token = text(&tokens, "access_token");
    app.ask_at(&replica, Method::GET, "/validate-token", token).await.expect(200);
    let logout = catch(&app, text(&tokens, "session_state")).await;
    app.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE query LIKE 'LISTEN%' AND datname = current_database()",
    )
    .await;
    app.post_logout_token(&logout).await.expect(200);
    until_refused(&app, &replica, token).await;
}

#[tokio::test]
async fn whom_an_operator_unlinks_is_somebody_else_to_services_that_run() {
    let (app, _) = start().await;
    let tokens = app.tokens_of(&app.realm, &app.user, "openid").await;
    let validate =
        async || app.ask(Method::GET, "/validate-token", text(&tokens, "access_token")).await;
    let before = data(&validate().await.expect(200));
    let user = text(&before, "user_id").parse().unwrap();
    let mut connection = app.database.connect().await;
    assert_eq!(unlink_all(&mut connection, user, app.clock.now()).await.unwrap().accounts, 1);
    eventually("another user", async || {
        let valid = data(&validate().await.expect(200));
        (valid["user_id"] != before["user_id"]).then_some(())
    })
    .await;
}
