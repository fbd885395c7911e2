//! Reconnecting with `after`: nothing missed, nothing twice.

use futures_util::future::join_all;

use super::issuer::User;
use super::socket::Socket;
use super::support::TestApp;

#[tokio::test]
async fn a_subscriber_gets_everything_after_page_by_page() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    app.send_many(&creator, room, 250).await;
    let mut socket = app.connect(&other).await;
    assert_eq!(socket.subscribe(room, Some(3)).await, 3);
    for seq in 4..=250 {
        assert_eq!(socket.next_seq().await, seq);
    }
    socket.expect_silence().await;
    assert_eq!(socket.subscribe(room, Some(1000)).await, 1000);
    let _ = app.send(&creator, room, "known already, they say").await.expect(200);
    socket.expect_silence().await;
}

#[tokio::test]
async fn a_reader_who_comes_and_goes_among_senders_misses_and_repeats_nothing() {
    const SENDERS: usize = 4;
    const EACH: usize = 60;
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let (room, _, reader) = app.room_of_two().await;
    let senders: Vec<User> = (0..SENDERS).map(|_| User::new()).collect();
    for sender in &senders {
        let _ = app.join(sender, room).await.expect(200);
    }
    let sending = async {
        let all = senders.iter().map(|sender| app.send_many(sender, room, EACH));
        join_all(all).await;
    };
    let reading = async {
        let (mut last, mut visits) = (0, 0);
        let total = i64::try_from(SENDERS * EACH).unwrap();
        while last < total {
            let server = if visits % 2 == 0 { &app.server } else { &replica };
            let mut socket = Socket::connect(server, &reader).await;
            assert_eq!(socket.subscribe(room, Some(last)).await, last);
            for _ in 0..(total - last).min(7 + visits) {
                assert_eq!(socket.next_seq().await, last + 1);
                last += 1;
            }
            visits += 1;
        }
        assert!(visits > 5);
    };
    tokio::join!(sending, reading);
}

#[tokio::test]
async fn who_is_removed_in_the_middle_of_catching_up_gets_no_further_page() {
    const MESSAGES: usize = 600;
    const PAGE: i64 = 100;
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let text = "x".repeat(16_000);
    for _ in 0..MESSAGES / 20 {
        join_all((0..20).map(|_| app.send(&creator, room, &text))).await;
    }
    let mut socket = Socket::connect_narrow(&app.server, &other).await;
    socket.subscribe(room, Some(0)).await;
    assert_eq!(socket.next_seq().await, 1);
    // More is under way than fits between us, so that not all pages have been read.
    let _ = app.remove(&creator, room, other.id).await.expect(200);
    let mut last = 1;
    let end = loop {
        let frame = socket.read().await.expect("an open connection");
        if frame["type"] != "message" {
            break frame;
        }
        last += 1;
        assert_eq!(frame["seq"], last);
    };
    assert_eq!((&end["type"], &end["code"]), (&"error".into(), &"room_not_found".into()));
    assert!(last < i64::try_from(MESSAGES).unwrap() && last % PAGE == 0, "{last}");
    socket.expect_silence().await;
}
