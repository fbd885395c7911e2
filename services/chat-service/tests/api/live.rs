//! Live delivery on one replica.

use serde_json::json;

use super::issuer::User;
use super::support::TestApp;

#[tokio::test]
async fn a_subscriber_gets_messages_as_http_has_them() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let _ = app.send(&creator, room, "before").await.expect(200);
    let mut socket = app.connect(&other).await;
    assert_eq!(socket.subscribe(room, None).await, 1);
    let _ = app.send(&creator, room, "after").await.expect(200);
    let frame = socket.expect("message").await;
    let mut expected = app.messages(&other, room, "?limit=1").await.json["messages"][0].take();
    expected["type"] = json!("message");
    expected["room_id"] = json!(room);
    assert_eq!(frame, expected);
    assert!(app.metric(r#"chat_service_messages_delivered_total{source="live"}"#).await >= 1.0);
}

#[tokio::test]
async fn rooms_do_not_mix_and_unsubscribing_ends_delivery() {
    let app = TestApp::start().await;
    let (one, creator, other) = app.room_of_two().await;
    let two = app.create_room(&creator, "public").await;
    let mut socket = app.connect(&other).await;
    socket.subscribe(one, None).await;
    let _ = app.send(&creator, two, "not yours").await.expect(200);
    let _ = app.send(&creator, one, "yours").await.expect(200);
    assert_eq!(socket.expect("message").await["message"], "yours");
    socket.say(&json!({ "type": "unsubscribe", "room_id": one })).await;
    socket.expect_silence().await;
    let _ = app.send(&creator, one, "not any more").await.expect(200);
    socket.expect_silence().await;
    assert_eq!(socket.subscribe(one, Some(1)).await, 1);
    assert_eq!(socket.expect("message").await["message"], "not any more");
}

#[tokio::test]
async fn who_leaves_or_is_removed_is_told_and_gets_nothing_more() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut staying = app.connect(&creator).await;
    let mut socket = app.connect(&other).await;
    staying.subscribe(room, None).await;
    for (number, removed) in [(1, false), (2, true)] {
        socket.subscribe(room, None).await;
        if removed {
            let _ = app.remove(&creator, room, other.id).await.expect(200);
        } else {
            let _ = app.leave(&other, room).await.expect(200);
        }
        let _ = app.send(&creator, room, "just us").await.expect(200);
        assert_eq!(staying.next_seq().await, number);
        assert_eq!(socket.expect("error").await["room_id"], room.to_string());
        socket.expect_silence().await;
        let _ = app.join(&other, room).await.expect(200);
    }
}

#[tokio::test]
async fn a_membership_that_ends_without_notice_leaks_nothing() {
    use diesel_async::SimpleAsyncConnection as _;
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut socket = app.connect(&other).await;
    socket.subscribe(room, None).await;
    let delete = format!("DELETE FROM room_members WHERE user_id = '{}'", other.id);
    app.database.connect().await.batch_execute(&delete).await.unwrap();
    let _ = app.send(&creator, room, "secret").await.expect(200);
    socket.expect_error("room_not_found").await;
    socket.expect_silence().await;
}

#[tokio::test]
async fn who_is_not_in_a_private_room_cannot_subscribe_to_it() {
    let (app, creator, stranger) = (TestApp::start().await, User::new(), User::new());
    let room = app.create_room(&creator, "private").await;
    let mut socket = app.connect(&stranger).await;
    let subscribe = json!({ "type": "subscribe", "room_id": room, "after": 0 });
    socket.say(&subscribe).await;
    socket.expect_error("room_not_found").await;
    let _ = app.send(&creator, room, "just us").await.expect(200);
    socket.expect_silence().await;
    // An invitation alone opens nothing either.
    let _ = app.invite(&creator, room, stranger.id).await.expect(200);
    socket.say(&subscribe).await;
    socket.expect_error("room_not_found").await;
    let _ = app.join(&stranger, room).await.expect(200);
    assert_eq!(socket.subscribe(room, Some(0)).await, 0);
    assert_eq!(socket.next_seq().await, 1);
}
