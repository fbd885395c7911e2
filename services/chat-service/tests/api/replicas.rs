//! Two replicas on one database.

use diesel_async::SimpleAsyncConnection as _;
use test_support::eventually;

use super::socket::Socket;
use super::support::TestApp;

#[tokio::test]
async fn a_message_reaches_subscribers_of_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let (room, creator, other) = app.room_of_two().await;
    let (mut here, mut there) =
        (app.connect(&other).await, Socket::connect(&replica, &other).await);
    here.subscribe(room, None).await;
    there.subscribe(room, None).await;
    for seq in 1..=20 {
        let _ = app.send(&creator, room, "hello").await.expect(200);
        assert_eq!((here.next_seq().await, there.next_seq().await), (seq, seq));
    }
}

#[tokio::test]
async fn who_leaves_here_stops_receiving_there() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut there = Socket::connect(&replica, &other).await;
    there.subscribe(room, None).await;
    let _ = app.leave(&other, room).await.expect(200);
    there.expect_error("room_not_found").await;
    let _ = app.send(&creator, room, "just us").await.expect(200);
    there.expect_silence().await;
}

#[tokio::test]
async fn a_lost_listening_connection_costs_no_message() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut socket = app.connect(&other).await;
    socket.subscribe(room, None).await;
    let mut connection = app.database.connect().await;
    let end_listeners = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    for round in 0..3 {
        connection.batch_execute(end_listeners).await.unwrap();
        app.send_many(&creator, room, 5).await;
        for seq in 1..=5 {
            assert_eq!(socket.next_seq().await, round * 5 + seq);
        }
    }
}

#[tokio::test]
async fn a_lost_notification_costs_no_message() {
    let keys = super::issuer::public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("LIVE__POLL_INTERVAL", "50ms")])
            .await;
    let (room, creator, other) = app.room_of_two().await;
    let mut socket = app.connect(&other).await;
    socket.subscribe(room, None).await;
    // As send does it, but for the notification.
    let statement = format!(
        "UPDATE rooms SET last_seq = 3; INSERT INTO messages SELECT gen_random_uuid(), '{room}', \
         seq, '{}', '{}', 'unheard', NULL, now() FROM generate_series(1, 3) seq",
        creator.id, creator.device_id
    );
    app.database.connect().await.batch_execute(&statement).await.unwrap();
    for seq in 1..=3 {
        assert_eq!(socket.next_seq().await, seq);
    }
    let followed = "chat_service_rooms_followed";
    assert!((app.metric(followed).await - 1.0).abs() < f64::EPSILON);
    drop(socket);
    eventually("forgotten", || async { (app.metric(followed).await < 0.5).then_some(()) }).await;
}
