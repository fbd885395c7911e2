//! Processes killed, panics and databases lost in the middle of a refresh.

use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;
use test_support::{Answer, ServiceProcess, TcpProxy, TestServer, eventually};

use super::support::{Session, TestApp, blocked, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const COUNTER: &str = "SELECT counter AS count FROM auth_sessions WHERE ended_at IS NULL";

/// A process on the app's database, halting at `failpoint`, if any.
pub(crate) async fn start(app: &TestApp, failpoint: &str, more: &[(&str, &str)]) -> ServiceProcess {
    let variables = [
        ("__ENVIRONMENT", "development"),
        ("__SIGNING__ALGORITHM", "ES256"),
        ("__DATABASE__URL", app.database.url()),
        ("USER_SERVICE_FAILPOINT", failpoint),
    ];
    let variables = [&variables[..], more].concat();
    ServiceProcess::start(env!("CARGO_BIN_EXE_user-service"), &variables).await
}

/// Refreshes at a process that is killed on the way, once it is at `failpoint`.
pub(crate) async fn killed(
    app: &TestApp,
    session: &Session,
    failpoint: &str,
    more: &[(&str, &str)],
) {
    let process = start(app, failpoint, more).await;
    let body = json!({ "refresh_token": session.refresh_token });
    let request = app.client.post(process.url("/api/auth/refresh")).json(&body).send();
    let (answer, ()) = tokio::join!(request, async move {
        process.logged("failpoint_reached").await;
        process.kill().await;
    });
    assert!(answer.is_err(), "the process died without an answer");
}

#[tokio::test]
async fn killed_before_the_commit_a_process_has_spent_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    killed(&app, &session, "refresh_before_commit", &[]).await;
    let mut connection = app.database.connect().await;
    assert_eq!(count(&mut connection, COUNTER).await, 0);
    // As good as ever, however late.
    app.clock.turn(TimeDelta::minutes(30));
    let _ = app.refresh(&session.refresh_token).await.expect(200);
    assert_eq!(count(&mut connection, COUNTER).await, 1);
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_is_a_masked_line_of_the_log() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    for (backtrace, traced) in [("0", false), ("1", true)] {
        let failpoint = "refresh_before_commit=no such user: alice@example.org";
        // Panics are told whatever else is not.
        let more = [("__LOG__LEVEL", "off,common=info"), ("RUST_BACKTRACE", backtrace)];
        let process = start(&app, failpoint, &more).await;
        let body = json!({ "refresh_token": session.refresh_token });
        for _ in 0..2 {
            let request = app.client.post(process.url("/api/auth/refresh")).json(&body);
            assert!(request.send().await.is_err(), "a request that panics has no answer");
        }
        let logged = process.logged("panicked").await;
        assert_eq!(logged["level"], "ERROR");
        assert_eq!(logged["reason"], "no such user: a***@example.org");
        assert!(logged["location"].as_str().unwrap().contains("failpoint.rs:"), "{logged}");
        assert!(logged["span"]["request_id"].is_string(), "{logged}");
        assert_eq!(logged["backtrace"].is_string(), traced, "{logged}");
        assert!(!process.log().concat().contains("alice@"));
        assert_eq!(send(app.client.get(process.admin_url("/live"))).await.status, 200);
    }
    assert_eq!(count(&mut app.database.connect().await, COUNTER).await, 0);
}

#[tokio::test]
async fn killed_after_the_commit_the_same_successor_comes_again() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    killed(&app, &session, "refresh_after_commit", &[]).await;
    let mut connection = app.database.connect().await;
    assert_eq!(count(&mut connection, COUNTER).await, 1);
    let successor = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    // And with a proof as late as the client comes back.
    app.clock.turn(TimeDelta::days(2));
    let again = app.refresh_proven(&session, &session.refresh_token).await.expect(200);
    assert_eq!(again.member("refresh_token"), successor);
    assert_eq!(count(&mut connection, COUNTER).await, 1);
    let _ = app.refresh_proven(&session, &successor).await.expect(200);
}

#[tokio::test]
async fn killed_while_the_database_decides_the_session_goes_on_either_way() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let process = start(&app, "", &[]).await;
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let body = json!({ "refresh_token": session.refresh_token });
    let request = app.client.post(process.url("/api/auth/refresh")).json(&body).send();
    let (answer, ()) = tokio::join!(request, async {
        blocked(&app, 1).await;
        process.kill().await;
        holder.batch_execute("COMMIT").await.unwrap();
    });
    assert!(answer.is_err());
    let successor = app
        .refresh_proven(&session, &session.refresh_token)
        .await
        .expect(200)
        .member("refresh_token");
    assert_eq!(count(&mut holder, COUNTER).await, 1);
    let _ = app.refresh_proven(&session, &successor).await.expect(200);
}

async fn refresh_at(app: &TestApp, server: &TestServer, session: &Session) -> Answer {
    let body = json!({ "refresh_token": session.refresh_token });
    send(app.client.post(server.url("/api/auth/refresh")).json(&body)).await
}

/// Nothing was rotated or revoked; well again, the same server refreshes.
async fn well_again(app: &TestApp, server: &TestServer, session: &Session) {
    let mut connection = app.database.connect().await;
    assert_eq!(count(&mut connection, COUNTER).await, 0);
    assert!(app.is_live(session).await);
    eventually("the server is well again by itself", || async {
        let answer = refresh_at(app, server, session).await;
        if answer.status == 200 {
            return Some(());
        }
        let _ = answer.expect_error(503, "database_unavailable");
        None
    })
    .await;
}

const IMPATIENT: [(&str, &str); 2] = [
    ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "500ms"),
    ("USER_SERVICE__DATABASE__STATEMENT_TIMEOUT", "500ms"),
];

#[tokio::test]
async fn a_database_that_is_away_or_silent_costs_nobody_a_session() {
    let app = TestApp::with(&[ES256]).await;
    let proxy = TcpProxy::start(app.database.url()).await;
    let server = app.replica_on(&proxy.url(app.database.url()), &IMPATIENT).await;
    for fault in [TcpProxy::cut as fn(&TcpProxy), TcpProxy::hold] {
        let session = app.sign_in().await;
        fault(&proxy);
        let answer = refresh_at(&app, &server, &session).await;
        let answer = answer.expect_error(503, "database_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        proxy.mend();
        well_again(&app, &server, &session).await;
        let _ = app.log_out(&session.refresh_token).await.expect(200);
    }
}

#[tokio::test]
async fn a_database_that_falls_silent_once_it_was_asked_is_given_up() {
    let app = TestApp::with(&[ES256]).await;
    let proxy = TcpProxy::start(app.database.url()).await;
    let patient = [IMPATIENT[0], ("USER_SERVICE__DATABASE__STATEMENT_TIMEOUT", "2s")];
    let server = app.replica_on(&proxy.url(app.database.url()), &patient).await;
    let session = app.sign_in().await;
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let (answer, ()) = tokio::join!(refresh_at(&app, &server, &session), async {
        blocked(&app, 1).await;
        // The statement ends, and nobody hears of it.
        proxy.hold();
        holder.batch_execute("COMMIT").await.unwrap();
    });
    let _ = answer.expect_error(503, "database_unavailable");
    proxy.mend();
    let successor = app.refresh(&session.refresh_token).await.expect(200);
    assert_eq!(count(&mut holder, COUNTER).await, 1);
    let _ = app.refresh(&successor.member("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn a_database_that_is_slow_costs_nobody_a_session() {
    let app = TestApp::with(&[ES256]).await;
    let server = app.replica_with(&IMPATIENT).await;
    let session = app.sign_in().await;
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let answer = refresh_at(&app, &server, &session).await;
    let _ = answer.expect_error(503, "database_unavailable");
    holder.batch_execute("COMMIT").await.unwrap();
    well_again(&app, &server, &session).await;
}
