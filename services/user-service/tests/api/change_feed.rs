use chrono::TimeDelta;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use reqwest::Method;
use serde_json::json;
use test_support::{TcpProxy, eventually};

use super::feed_reader::FeedReader;
use super::support::{PASSWORD, TestApp, header, send};

fn sids(events: &[super::feed_reader::Event]) -> Vec<&str> {
    events.iter().filter_map(|event| event.data["sid"].as_str()).collect()
}

#[tokio::test]
async fn only_configured_clients_may_read() {
    let app = TestApp::with(&[("USER_SERVICE__FEED__STREAMS_PER_CLIENT", "1")]).await;
    let _ = app.get("/.well-known/jwks/changes").await.expect_error(401, "invalid_client");
    let wrong =
        app.request(Method::GET, "/.well-known/jwks/changes").basic_auth("chat-service", Some("x"));
    let wrong = send(wrong).await.expect_error(401, "invalid_client");
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    let reader = FeedReader::open(&app, &app.server, None).await;
    assert_eq!(FeedReader::connect(&app, &app.server, None).await.status(), 429);
    drop(reader);
    eventually("the stream's place is free again", || async {
        (FeedReader::connect(&app, &app.server, None).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_end_is_announced_with_key_and_session() {
    let app = TestApp::start().await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    assert!(reader.replay().await.is_empty());
    let session = app.sign_in().await;
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    let (one, two) = (reader.next().await, reader.next().await);
    assert_eq!((one.name.as_str(), two.name.as_str()), ("key_revoked", "session_revoked"));
    assert_eq!(one.data["kid"], header(&session.access_token)["kid"]);
    assert_eq!(two.data["sid"], session.id);
    let until = one.data["until"].as_i64().unwrap();
    let exp = super::support::claims(&session.access_token)["exp"].as_i64().unwrap();
    assert_eq!(until, exp + 300);
    let age_ms = app.now().timestamp_millis() - one.data["at"].as_i64().unwrap();
    assert!((-1000..60_000).contains(&age_ms), "{age_ms}");

    let first = app.sign_in().await;
    let second = app.log_in(&first.device, &first.username).await;
    assert_eq!(reader.next_session().await.data["sid"], first.id);
    let path = format!("/api/auth/devices/{}", second.device.id);
    let _ = app.delete_as(&second, &path).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], second.id);

    let removed = app.sign_in().await;
    let path = format!("/api/auth/sessions/{}", removed.id);
    let _ = app.delete_as(&removed, &path).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], removed.id);

    let kept = app.sign_in().await;
    let other = app.log_in(&app.register_device().await, &kept.username).await;
    let change = json!({ "current_password": PASSWORD, "new_password": "another password" });
    let _ = app.post_as(&kept, "/api/auth/password", &change).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], other.id);
    let _ = app.post_as(&kept, "/api/auth/logout-all", &json!({})).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], kept.id);

    let replayed = app.sign_in().await;
    let next = app.refresh(&replayed.refresh_token).await.expect(200).member("refresh_token");
    let _ = app.refresh(&next).await.expect(200);
    let _ = app.refresh(&replayed.refresh_token).await.expect(401);
    assert_eq!(reader.next_session().await.data["sid"], replayed.id);
}

#[tokio::test]
async fn another_replica_announces_it_too_and_a_resumed_stream_misses_nothing() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let mut reader = FeedReader::open(&app, &replica, None).await;
    reader.replay().await;
    let sessions = [app.sign_in().await, app.sign_in().await, app.sign_in().await];
    for session in &sessions {
        let _ = app.log_out(&session.refresh_token).await.expect(200);
    }
    let first = reader.next_session().await;
    assert_eq!(first.data["sid"], sessions[0].id);
    drop(reader);
    let mut resumed = FeedReader::open(&app, &app.server, Some(&first.id)).await;
    let missed = resumed.replay().await;
    let missed = sids(&missed);
    assert!(missed.contains(&sessions[1].id.as_str()));
    assert!(missed.contains(&sessions[2].id.as_str()));
}

#[tokio::test]
async fn an_unknown_position_is_reset_and_everything_that_matters_comes_again() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    for unknown in ["garbage", "00000000.5.0", "1.2.3.4", "-"] {
        let mut reader = FeedReader::open(&app, &app.server, Some(unknown)).await;
        assert_eq!(reader.next().await.name, "reset", "{unknown}");
        assert_eq!(sids(&reader.replay().await), [session.id.as_str()]);
    }
    app.clock.turn(TimeDelta::hours(3));
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    assert!(reader.replay().await.is_empty(), "what no longer matters is not told");
}

async fn insert(connection: &mut AsyncPgConnection, kid: &str) {
    let statement = format!(
        "INSERT INTO key_changes (kind, value, until) VALUES ('kid', '{kid}', now() + interval '1 hour')"
    );
    connection.batch_execute(&statement).await.unwrap();
}

#[tokio::test]
async fn transactions_that_commit_out_of_order_are_all_told_and_none_is_skipped() {
    let app = TestApp::start().await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    reader.replay().await;
    let (mut early, mut late) = (app.database.connect().await, app.database.connect().await);
    early.batch_execute("BEGIN").await.unwrap();
    insert(&mut early, "early").await;
    late.batch_execute("BEGIN").await.unwrap();
    insert(&mut late, "late").await;
    late.batch_execute("COMMIT").await.unwrap();
    // The later one is told at once, though an earlier one is still open.
    let told = reader.next().await;
    assert_eq!(told.data["kid"], "late");
    drop(reader);
    early.batch_execute("COMMIT").await.unwrap();
    // Resuming from its id must still find the earlier one.
    let mut resumed = FeedReader::open(&app, &app.server, Some(&told.id)).await;
    let events = resumed.replay().await;
    assert!(events.iter().any(|event| event.data["kid"] == "early"), "{events:?}");
}

#[tokio::test]
async fn a_transaction_left_open_delays_nobody() {
    let app = TestApp::start().await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    reader.replay().await;
    let mut open = app.database.connect().await;
    open.batch_execute("BEGIN").await.unwrap();
    insert(&mut open, "open").await;
    for number in 0..5 {
        let session = app.sign_in().await;
        let _ = app.log_out(&session.refresh_token).await.expect(200);
        assert_eq!(reader.next_session().await.data["sid"], session.id, "{number}");
    }
    // Many more than are read at once, none of them told twice.
    let many = "INSERT INTO key_changes (kind, value, until) \
                SELECT 'kid', 'many-' || n, now() + interval '1 hour' \
                FROM generate_series(1, 10000) n";
    let mut writer = app.database.connect().await;
    for _ in 0..2 {
        writer.batch_execute(many).await.unwrap();
        for number in 1..=10_000 {
            assert_eq!(reader.next().await.data["kid"], format!("many-{number}"));
        }
    }
    open.batch_execute("COMMIT").await.unwrap();
    assert_eq!(reader.next().await.data["kid"], "open");
    let session = app.sign_in().await;
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], session.id);
}

#[tokio::test]
async fn a_long_replay_cut_off_anywhere_resumes_without_a_gap() {
    let app = TestApp::start().await;
    let mut connection = app.database.connect().await;
    for transaction in 0..12 {
        let statement = format!(
            "INSERT INTO key_changes (kind, value, until)
             SELECT 'kid', 'k' || ({transaction} * 100 + n), now() + interval '1 hour'
             FROM generate_series(1, 100) AS n"
        );
        connection.batch_execute(&statement).await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut last_id = None;
    while seen.len() < 1200 {
        let mut reader = FeedReader::open(&app, &app.server, last_id.as_deref()).await;
        for _ in 0..170 {
            let event = reader.next().await;
            if event.name == "caught_up" {
                break;
            }
            seen.insert(event.data["kid"].as_str().unwrap().to_owned());
            last_id = Some(event.id);
        }
    }
    assert_eq!(seen.len(), 1200);
}

#[tokio::test]
async fn draining_ends_the_stream() {
    let app = TestApp::start().await;
    let mut reader = FeedReader::open(&app, &app.server, None).await;
    reader.replay().await;
    app.server.drain();
    reader.until_end().await;
}

#[tokio::test]
async fn connections_that_fall_silent_do_not_stop_the_feed() {
    let app = TestApp::start().await;
    let proxy = TcpProxy::start(app.database.url()).await;
    let replica = app.replica_on(&proxy.url(app.database.url()), &[]).await;
    let mut reader = FeedReader::open(&app, &replica, None).await;
    assert!(reader.replay().await.is_empty());
    let session = app.sign_in().await;
    proxy.freeze();
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(reader.next_session().await.data["sid"], session.id);
    eventually("ready again", async || {
        let ready = send(app.client.get(replica.url("/health/ready"))).await;
        (ready.status == 200).then_some(())
    })
    .await;
}
