//! Who is overtaken while a request is under way.

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use serde_json::json;
use test_support::{TestDatabase, eventually};
use user_service::MIGRATIONS;

use super::feed_reader::FeedReader;
use super::support::{TestApp, blocked, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

#[tokio::test]
async fn a_login_whose_password_changes_while_it_is_checked_opens_no_session() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let body = app.login_body(&session.device, &session.username);
    let mut owner = app.database.connect().await;
    owner.batch_execute("BEGIN; SELECT FROM user_keysets FOR UPDATE").await.unwrap();
    let (answer, ()) = tokio::join!(app.post("/api/auth/login", &body), async {
        // The old password has been found right, and the login waits for the keyset.
        blocked(&app, 1).await;
        let change = "UPDATE users SET password_version = password_version + 1; COMMIT";
        owner.batch_execute(change).await.unwrap();
    });
    let _ = answer.expect_error(401, "invalid_credentials");
    let opened = count(&mut owner, "SELECT count(*) AS count FROM auth_sessions").await;
    assert_eq!(opened, 1);
    let metric =
        r#"user_service_login_attempts_total{outcome="failure",reason="password_changed"}"#;
    assert_eq!(app.metric(metric).await, 1);
}

#[tokio::test]
async fn without_a_grace_window_a_refresh_that_loses_the_race_ends_nothing() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__REFRESH__GRACE", "0")]).await;
    let session = app.sign_in().await;
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let refreshes = join_all((0..3).map(|_| app.refresh(&session.refresh_token)));
    let (answers, ()) = tokio::join!(refreshes, async {
        // All have seen the token as the newest one.
        blocked(&app, 3).await;
        holder.batch_execute("COMMIT").await.unwrap();
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    let rotated = answers.iter().find(|answer| answer.status == 200).unwrap();
    let _ = app.refresh(&rotated.member("refresh_token")).await.expect(200);
    assert!(app.is_live(&session).await);
}

#[tokio::test]
async fn a_refresh_that_can_t_be_answered_spends_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    // A replica that has not seen the key yet, and can't open it.
    let replica = app.replica().await;
    let mut connection = app.database.connect().await;
    let damage = "UPDATE user_keysets SET keyset = jsonb_set(keyset, '{keys,0,sealed}', '\"00\"')";
    connection.batch_execute(damage).await.unwrap();
    let body = json!({ "refresh_token": session.refresh_token });
    let request = app.client.post(replica.url("/api/auth/refresh")).json(&body);
    let _ = send(request).await.expect_error(401, "invalid_refresh_token");
    let counter = "SELECT counter AS count FROM auth_sessions";
    assert_eq!(count(&mut connection, counter).await, 0);
    let _ = app.refresh(&session.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_dry_pool_keeps_nobody_else_waiting() {
    let app = TestApp::with(&[
        ("USER_SERVICE__SIGNING__POOL_SIZE", "0"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "0"),
        ("USER_SERVICE__DATABASE__MAX_CONNECTIONS", "2"),
    ])
    .await;
    let session = app.sign_in().await;
    let mut bodies = Vec::new();
    for number in 0..20 {
        let name = format!("guest-{number}");
        let _ = app.register(&name).await.expect(201);
        let device = app.register_device().await;
        bodies.push(app.login_body(&device, &name));
    }
    let logins = join_all(bodies.iter().map(|body| app.post("/api/auth/login", body)));
    let (answers, refreshed) = tokio::join!(logins, async {
        eventually("a key is being made for a login", || async {
            let taken = r#"user_service_keys_taken_total{source="dry"}"#;
            (app.metric(taken).await > 1).then_some(())
        })
        .await;
        app.refresh(&session.refresh_token).await
    });
    let _ = refreshed.expect(200);
    for answer in answers {
        match answer.status.as_u16() {
            200 => {}
            _ => assert_ne!(answer.expect_error(503, "busy").header("retry-after"), ""),
        }
    }
}

#[tokio::test]
async fn a_device_removed_while_a_login_burns_its_nonce_is_one_more_wrong_part() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    let device = app.register_device().await;
    let body = app.login_body(&device, "alice");
    let mut remover = app.database.connect().await;
    remover.batch_execute("BEGIN; DELETE FROM devices").await.unwrap();
    let (answer, ()) = tokio::join!(app.post("/api/auth/login", &body), async {
        blocked(&app, 1).await;
        remover.batch_execute("COMMIT").await.unwrap();
    });
    let _ = answer.expect_error(401, "invalid_credentials");
}

/// Puts one database in the place of another, as a restored copy would be.
async fn swap(old: &TestDatabase, new: &TestDatabase) {
    let server = std::env::var("TEST_DATABASE_URL").unwrap();
    let mut server = AsyncPgConnection::establish(&server).await.unwrap();
    let name = |database: &TestDatabase| database.url().rsplit_once('/').unwrap().1.to_owned();
    let (old, new) = (name(old), name(new));
    for statement in [
        format!("ALTER DATABASE {old} WITH ALLOW_CONNECTIONS false"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'"),
        format!("ALTER DATABASE {old} RENAME TO {old}_swap"),
        format!("ALTER DATABASE {new} RENAME TO {old}"),
        format!("ALTER DATABASE {old}_swap RENAME TO {new}"),
    ] {
        while server.batch_execute(&statement).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_database_is_replaced_so_that_its_reader_replays() {
    let app = TestApp::with(&[ES256]).await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    let _ = reader.replay().await;
    let other = TestDatabase::create("user", || MIGRATIONS).await;
    swap(&app.database, &other).await;
    reader.until_end().await;
}

#[tokio::test]
async fn trusting_a_device_waits_for_whoever_ends_sessions_and_never_they_for_each_other() {
    let app = TestApp::with(&[ES256]).await;
    let first = app.sign_in().await;
    let second = app.log_in(&app.register_device().await, &first.username).await;
    // Who ends several sessions locks them by their ids, the lower one first.
    let (lower, higher) = if first.id < second.id { (first, second) } else { (second, first) };
    let mut holder = app.database.connect().await;
    let hold = format!("BEGIN; SELECT FROM auth_sessions WHERE id = '{}' FOR UPDATE", lower.id);
    holder.batch_execute(&hold).await.unwrap();
    let device = format!("/api/auth/devices/{}", lower.device.id);
    let (everywhere, trust) = ("/api/auth/logout-all", json!({ "trusted": true }));
    let body = json!({});
    let (ended, trusted, ()) = tokio::join!(
        app.post_as(&higher, everywhere, &body),
        async {
            // It waits for the lower session, and the higher one is still anybody's.
            blocked(&app, 1).await;
            app.patch_as(&higher, &device, &trust).await
        },
        async {
            // To trust it takes the higher session, then the lower one.
            blocked(&app, 2).await;
            holder.batch_execute("COMMIT").await.unwrap();
        },
    );
    assert_eq!(ended.expect(200).json["sessions_ended"], 2);
    let _ = trusted.expect_error(401, "invalid_token");
}
