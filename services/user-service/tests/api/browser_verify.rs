//! `verify-token`: from memory while the change feed is read.

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use test_support::{Answer, TcpProxy, TestBrowser, TestServer, eventually};

use super::browser_support::{LOGOUT, refresh};
use super::support::{TestApp, count, send};

const VERIFY: &str = "/api/v5/auth/verify-token";
const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const IMPATIENT: [(&str, &str); 2] = [
    ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "300ms"),
    ("USER_SERVICE__DATABASE__STATEMENT_TIMEOUT", "300ms"),
];

async fn verify(app: &TestApp, server: &TestServer, token: &str) -> Answer {
    let cookie = format!("latchkey_v5_access={token}");
    send(app.client.get(server.url(VERIFY)).header("cookie", cookie)).await
}

/// Until what is revoked is known from the feed.
async fn fresh(app: &TestApp, server: &TestServer) {
    eventually("the feed is read", || async {
        let ready = send(app.client.get(server.admin_url("/ready"))).await;
        (ready.status == 200).then_some(())
    })
    .await;
}

fn token(browser: &TestBrowser) -> String {
    browser.cookie("access").unwrap()
}

#[tokio::test]
async fn a_good_cookie_is_204_and_everything_else_is_401() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let bearer = app.sign_in().await;
    let good = browser.get(VERIFY).await.expect(204);
    assert!(good.text.is_empty());
    let head = send(browser.request(Method::HEAD, VERIFY)).await.expect(204);
    assert!(head.text.is_empty());
    let none = app.get(VERIFY).await.expect_error(401, "unauthorized");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let token = token(&browser);
    let cut = &token[..token.len() - 3];
    for bad in ["", "x", "a.b.c", "%00", "\"quoted\"", cut, &bearer.access_token] {
        let _ = verify(&app, &app.server, bad).await.expect_error(401, "invalid_token");
    }
    let head = app.request(Method::HEAD, VERIFY).header("cookie", "latchkey_v5_access=x");
    assert!(send(head).await.expect(401).text.is_empty());
    let twice = format!("{token}; latchkey_v5_access={token}");
    let _ = verify(&app, &app.server, &twice).await.expect_error(401, "duplicate_cookies");
    app.clock.turn(chrono::TimeDelta::hours(2));
    let _ = verify(&app, &app.server, &token).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn a_logout_is_heard_of_at_once_and_on_other_replicas_soon() {
    let app = TestApp::with(&[ES256]).await;
    let replica = app.replica().await;
    let (browser, _) = app.browse_as("alice").await;
    let token = token(&browser);
    fresh(&app, &app.server).await;
    fresh(&app, &replica).await;
    for server in [&app.server, &replica] {
        let _ = verify(&app, server, &token).await.expect(204);
    }
    let _ = browser.post(LOGOUT, &serde_json::json!({})).await.expect(200);
    let _ = verify(&app, &app.server, &token).await.expect_error(401, "invalid_token");
    eventually("the replica refuses", || async {
        (verify(&app, &replica, &token).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_database_is_asked_while_the_feed_is_fresh_and_none_is_believed_after() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let revoked = token(&browser);
    let _ = refresh(&browser).await.expect(200);
    let good = token(&browser);
    let _ = app.post_token("/api/auth/revoke", &revoked).await.expect(200);
    let _ = verify(&app, &app.server, &revoked).await.expect_error(401, "invalid_token");
    // It starts after the revocation, and knows of it.
    let proxy = TcpProxy::start(app.database.url()).await;
    let replica = app.replica_on(&proxy.url(app.database.url()), &IMPATIENT).await;
    fresh(&app, &replica).await;
    let _ = verify(&app, &replica, &good).await.expect(204);
    proxy.cut();
    for _ in 0..10 {
        let _ = verify(&app, &replica, &good).await.expect(204);
        let _ = verify(&app, &replica, &revoked).await.expect_error(401, "invalid_token");
    }
    eventually("nothing is believed any more", || async {
        (verify(&app, &replica, &good).await.status == 503).then_some(())
    })
    .await;
    let _ = verify(&app, &replica, &revoked).await.expect_error(503, "database_unavailable");
    // What it missed is not believed for a moment afterwards.
    let _ = browser.post(LOGOUT, &serde_json::json!({})).await.expect(200);
    proxy.mend();
    eventually("it is heard of", || async {
        let status = verify(&app, &replica, &good).await.status;
        assert_ne!(status, 204);
        (status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_stops_while_a_key_is_waited_for_is_not_believed() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let patient = ("USER_SERVICE__DATABASE__STATEMENT_TIMEOUT", "60s");
    let replica = app.replica_with(&[patient]).await;
    fresh(&app, &replica).await;
    let token = token(&browser);
    // Both or neither: who holds one might wait for the other.
    let mut held = eventually("the feed and the keys are locked", || async {
        let mut connection = app.database.connect().await;
        let lock = "BEGIN; SET LOCAL lock_timeout = '300ms'; LOCK TABLE key_changes; \
                    SAVEPOINT feed_alone; LOCK TABLE published_keys";
        connection.batch_execute(lock).await.is_ok().then_some(connection)
    })
    .await;
    let ended = async {
        let waiting = "SELECT count(*) AS count FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock' \
                       AND query LIKE '%\"published_keys\" LEFT OUTER JOIN \"auth_sessions\"%'";
        let mut connection = app.database.connect().await;
        eventually("the key is waited for", || async {
            let mut connection = app.database.connect().await;
            (count(&mut connection, waiting).await > 0).then_some(())
        })
        .await;
        eventually("the replica hears of nothing", || async {
            // Others that wait for these tables may be missed before the feed is.
            let ready = send(app.client.get(replica.admin_url("/ready"))).await;
            let mut dependencies = ready.json["dependencies"].as_array().unwrap().iter();
            let feed = dependencies.find(|one| one["name"] == "change_feed").unwrap();
            (feed["status"] == "not_ready").then_some(())
        })
        .await;
        let end = "UPDATE auth_sessions SET ended_at = now(), end_reason = 'logout'";
        connection.batch_execute(end).await.unwrap();
        held.batch_execute("ROLLBACK TO SAVEPOINT feed_alone").await.unwrap();
    };
    let (answer, ()) = tokio::join!(verify(&app, &replica, &token), ended);
    let _ = answer.expect_error(401, "invalid_token");
    held.batch_execute("ROLLBACK").await.unwrap();
}
