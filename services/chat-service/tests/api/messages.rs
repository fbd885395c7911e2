//! Sending and reading over HTTP.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use test_support::eventually;

use super::support::{TestApp, send, seqs};

#[tokio::test]
async fn a_message_is_sent_and_read() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let sent = app.send(&creator, room, "Hello ☕\n").await.expect(200);
    assert_eq!(sent.json.as_object().unwrap().len(), 6);
    assert_eq!(sent.member("status"), "message sent");
    assert_eq!(sent.member("user_id"), creator.id.to_string());
    assert_eq!((sent.member("room_id"), &sent.json["seq"]), (room.to_string(), &json!(1)));
    let read = app.messages(&other, room, "").await.expect(200);
    assert_eq!(
        read.json,
        json!({
            "room_id": room,
            "user_id": other.id,
            "messages": [{
                "message_id": sent.member("message_id"),
                "seq": 1,
                "user_id": creator.id,
                "device_id": creator.device_id,
                "message": "Hello ☕\n",
                "sent_at": sent.member("sent_at"),
            }],
            "next_before": null,
        })
    );
    assert!(app.metric(r#"chat_service_messages_sent_total{outcome="stored"}"#).await >= 1.0);
}

#[tokio::test]
async fn messages_have_one_to_16384_bytes() {
    let app = TestApp::start().await;
    let (room, creator, _) = app.room_of_two().await;
    let _ = app.send(&creator, room, &"é".repeat(8192)).await.expect(200);
    for bad in [
        json!(""),
        json!(" \n\t"),
        json!("\u{200b}\u{202e}"),
        json!("é".repeat(8192) + "a"),
        json!("a\u{0}"),
        json!(7),
        json!(null),
    ] {
        let body = json!({ "room_id": room, "message": bad });
        let answer = app.post_as(&creator, "/api/messages/send", &body).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], "message");
    }
    let body = json!({ "room_id": room, "message": "a".repeat(70_000) });
    let answer = app.post_as(&creator, "/api/messages/send", &body).await;
    let _ = answer.expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn the_same_client_message_id_answers_the_first_message() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let body = |text: &str| json!({ "room_id": room, "message": text, "client_message_id": "c-1" });
    let (first, again) = (body("first"), body("again"));
    let path = "/api/messages/send";
    let (one, two, three) = tokio::join!(
        app.post_as(&creator, path, &first),
        app.post_as(&creator, path, &first),
        app.post_as(&creator, path, &first)
    );
    let one = one.expect(200);
    assert_eq!(one.json, two.expect(200).json);
    assert_eq!(one.json, three.expect(200).json);
    assert_eq!(one.json, app.post_as(&creator, path, &again).await.expect(200).json);
    // It is the sender's own name for it.
    assert_eq!(app.post_as(&other, path, &again).await.expect(200).json["seq"], 2);
    assert_eq!(seqs(&app.messages(&creator, room, "").await), [2, 1]);
    for bad in ["", &"a".repeat(129), "a\u{0}", "a\u{202e}"] {
        let body = json!({ "room_id": room, "message": "x", "client_message_id": bad });
        let answer = app.post_as(&creator, path, &body).await.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], "client_message_id");
    }
}

#[tokio::test]
async fn messages_are_paged_backwards_and_forwards() {
    let app = TestApp::start().await;
    let (room, creator, _) = app.room_of_two().await;
    app.send_many(&creator, room, 5).await;
    let newest = app.messages(&creator, room, "?limit=2").await.expect(200);
    assert_eq!(seqs(&newest), [5, 4]);
    let query = format!("?limit=2&before={}", newest.member("next_before"));
    let older = app.messages(&creator, room, &query).await.expect(200);
    assert_eq!(seqs(&older), [3, 2]);
    let query = format!("?limit=2&before={}", older.member("next_before"));
    let oldest = app.messages(&creator, room, &query).await.expect(200);
    assert_eq!((seqs(&oldest), oldest.json["next_before"].is_null()), (vec![1], true));

    let after = app.messages(&creator, room, "?after=2&limit=2").await.expect(200);
    assert_eq!((seqs(&after), after.json["next_before"].is_null()), (vec![3, 4], true));
    assert!(seqs(&app.messages(&creator, room, "?after=5").await).is_empty());
    for bad in ["?after=-1".to_owned(), "?after=x".to_owned(), format!("{query}&after=1")] {
        let _ = app.messages(&creator, room, &bad).await.expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn concurrent_senders_leave_no_gaps() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let users = [&creator, &other];
    let sends = (0..60).map(|number| app.send(users[number % 2], room, "hello"));
    let sent: BTreeSet<i64> = join_all(sends)
        .await
        .into_iter()
        .map(|answer| answer.expect(200).json["seq"].as_i64().unwrap())
        .collect();
    assert!(sent.into_iter().eq(1..=60));
    let read = app.messages(&creator, room, "?after=0&limit=200").await.expect(200);
    assert!(seqs(&read).into_iter().eq(1..=60));
}

#[tokio::test]
async fn a_lost_database_is_503() {
    let app = TestApp::with(&[
        ("VERIFIER__PUBLIC_KEY_FILES", &super::issuer::public_key_file()),
        ("DATABASE__URL", "postgres://postgres@127.0.0.1:1/none"),
        ("DATABASE__CONNECT_TIMEOUT", "100ms"),
    ])
    .await;
    let user = super::issuer::User::new();
    let answer = app.get_as(&user, "/api/rooms").await.expect_error(503, "database_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    eventually("the database was asked for", async || {
        let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(503);
        let [database, keys, ..] = ready.json["dependencies"].as_array().unwrap().as_slice() else {
            panic!("{ready:?}")
        };
        assert_eq!((&database["status"], &keys["status"]), (&"not_ready".into(), &"ready".into()));
        (database["reason"] != "not asked yet").then_some(())
    })
    .await;
    let ready = app.get("/health/ready").await.expect(503);
    assert_eq!(ready.json["status"], "not_ready");
}
