//! How a WebSocket opens, is kept, and ends.

use std::net::SocketAddr;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use test_support::eventually;
use tokio_tungstenite::tungstenite::Error;
use uuid::Uuid;

use super::issuer::{ISSUER, Issuer, User, public_key_file};
use super::socket::Socket;
use super::support::{ORIGIN, TestApp, send};

#[tokio::test]
async fn a_browser_sends_its_token_as_a_subprotocol() {
    let (app, user) = (TestApp::start().await, User::new());
    let protocols = format!("bearer, {}", user.token);
    let headers = [("sec-websocket-protocol", protocols.as_str()), ("origin", ORIGIN)];
    let (mut socket, response) = Socket::open(&app.server, &headers).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "bearer");
    socket.expect_silence().await;
}

async fn refusal(app: &TestApp, headers: &[(&'static str, &str)]) -> (StatusCode, String) {
    let Err(Error::Http(response)) = Socket::open(&app.server, headers).await else {
        panic!("the handshake succeeded");
    };
    let body = response.body().clone().unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn bad_tokens_are_refused_before_the_upgrade() {
    let (app, user) = (TestApp::start().await, User::new());
    let (bearer, protocols) = (format!("Bearer {}", user.token), format!("bearer, {}", user.token));
    for headers in [
        vec![("authorization", "Bearer x")],
        vec![("authorization", "Basic x"), ("sec-websocket-protocol", &protocols)],
        vec![("sec-websocket-protocol", "bearer, x")],
        vec![("sec-websocket-protocol", "bearer")],
    ] {
        let refusal = refusal(&app, &headers).await;
        assert_eq!(refusal, (StatusCode::UNAUTHORIZED, "invalid_token".into()), "{headers:?}");
    }
    let none = refusal(&app, &[("sec-websocket-protocol", "chat")]).await;
    assert_eq!(none, (StatusCode::UNAUTHORIZED, "unauthorized".into()));
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    let foreign = refusal(&app, &foreign).await;
    assert_eq!(foreign, (StatusCode::FORBIDDEN, "origin_not_allowed".into()));
    // A token in the URL is no token.
    let path = format!("/api/ws?token={}&access_token={}", user.token, user.token);
    let _ = app.get(&path).await.expect_error(401, "unauthorized");
    let plain = app.request(Method::GET, "/api/ws").bearer_auth(&user.token);
    let _ = send(plain).await.expect_error(400, "websocket_expected");
    let version = [("authorization", bearer.as_str()), ("sec-websocket-version", "8")];
    let version = refusal(&app, &version).await;
    assert_eq!(version, (StatusCode::UPGRADE_REQUIRED, "websocket_version".into()));
}

#[tokio::test]
async fn a_user_has_so_many_connections() {
    let keys = public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("LIVE__MAX_CONNECTIONS", "2")])
            .await;
    let user = User::new();
    let bearer = format!("Bearer {}", user.token);
    let headers = [("authorization", bearer.as_str())];
    let (_first, second) = (app.connect(&user).await, app.connect(&user).await);
    let further = refusal(&app, &headers).await;
    assert_eq!(further, (StatusCode::TOO_MANY_REQUESTS, "too_many_connections".into()));
    app.connect(&User::new()).await.expect_silence().await;
    drop(second);
    eventually("a place is free", || async {
        Socket::open(&app.server, &headers).await.is_ok().then_some(())
    })
    .await;
}

/// Whether the server still has its end of the connection from `client`.
fn is_held(server: SocketAddr, client: SocketAddr) -> bool {
    let end = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let (local, remote) = (end(server), end(client));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&local) && fields.next() == Some(&remote)
    })
}

#[tokio::test]
async fn the_socket_of_a_peer_that_never_reads_is_freed() {
    let keys = public_key_file();
    let app = TestApp::with(&[
        ("VERIFIER__PUBLIC_KEY_FILES", &keys),
        ("LIVE__SEND_TIMEOUT", "200ms"),
        ("HTTP__WRITE_TIMEOUT", "1s"),
    ])
    .await;
    let (room, creator, other) = app.room_of_two().await;
    let mut deaf = Socket::connect_narrow(&app.server, &other).await;
    deaf.subscribe(room, None).await;
    let held = || is_held(app.server.address(), deaf.address());
    assert!(held());
    let text = "x".repeat(16_000);
    for _ in 0..30 {
        join_all((0..20).map(|_| app.send(&creator, room, &text))).await;
    }
    let name = r#"chat_service_websocket_closes_total{code="4408"}"#;
    eventually("closed", || async { (app.metric(name).await >= 1.0).then_some(()) }).await;
    eventually("freed", || async { (!held()).then_some(()) }).await;
}

#[tokio::test]
async fn a_verifier_that_cannot_judge_is_503() {
    let url = ("VERIFIER__USER_SERVICE_URL", "http://127.0.0.1:1");
    let app = TestApp::with(&[url, ("VERIFIER__ISSUER", ISSUER)]).await;
    let bearer = format!("Bearer {}", User::new().token);
    let refusal = refusal(&app, &[("authorization", &bearer)]).await;
    assert_eq!(refusal, (StatusCode::SERVICE_UNAVAILABLE, "verifier_not_ready".into()));
    let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(503);
    let keys = &ready.json["dependencies"][1];
    assert_eq!((&keys["name"], &keys["status"]), (&"keys".into(), &"not_ready".into()));
}

#[tokio::test]
async fn bad_frames_are_answered_and_survived() {
    let app = TestApp::start().await;
    let (room, creator, _) = app.room_of_two().await;
    let mut socket = app.connect(&creator).await;
    for text in [
        "hello".to_owned(),
        "{}".to_owned(),
        r#"{"type":"shout"}"#.to_owned(),
        r#"{"type":"subscribe","room_id":"lobby"}"#.to_owned(),
        json!({ "type": "subscribe", "room_id": room, "after": -1 }).to_string(),
        json!({ "type": "ping", "x": "x".repeat(10_000) }).to_string(),
    ] {
        socket.say_text(&text).await;
        socket.expect_error("invalid_frame").await;
    }
    socket.say_bytes(b"\x00").await;
    socket.expect_error("invalid_frame").await;
    socket.say(&json!({ "type": "subscribe", "room_id": Uuid::new_v4() })).await;
    socket.expect_error("room_not_found").await;
    assert_eq!(socket.subscribe(room, None).await, 0);
    socket.say_text(&"x".repeat(70_000)).await;
    assert_eq!(socket.closed().await, 1009);
    let mut socket = app.connect(&creator).await;
    socket.say_in_pieces(&"x".repeat(40_000), 3).await;
    assert_eq!(socket.closed().await, 1009);
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let keys = public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("LIVE__MAX_SUBSCRIPTIONS", "1")])
            .await;
    let user = User::new();
    let (one, two) =
        (app.create_room(&user, "public").await, app.create_room(&user, "public").await);
    let mut socket = app.connect(&user).await;
    socket.subscribe(one, None).await;
    socket.say(&json!({ "type": "subscribe", "room_id": two })).await;
    socket.expect_error("too_many_subscriptions").await;
    // The same room again is no further one.
    socket.subscribe(one, None).await;
    socket.say(&json!({ "type": "unsubscribe", "room_id": one })).await;
    socket.subscribe(two, None).await;
}

#[tokio::test]
async fn a_revoked_token_closes_its_connections_at_once() {
    let issuer = Issuer::start();
    let url = issuer.url();
    let app = TestApp::with(&[("VERIFIER__USER_SERVICE_URL", &url)]).await;
    eventually("ready", || async { (app.get("/health/ready").await.status == 200).then_some(()) })
        .await;
    let (user, other) = (User::with(&url, 3600), User::with(&url, 3600));
    let (mut kept, mut ended) = (app.connect(&other).await, app.connect(&user).await);
    ended.expect_silence().await;
    issuer.revoke(&user);
    assert_eq!(ended.closed().await, 4401);
    let _ = app.get_as(&user, "/api/rooms").await.expect_error(401, "invalid_token");
    kept.expect_silence().await;
    assert!(app.metric(r#"chat_service_websocket_closes_total{code="4401"}"#).await >= 1.0);
}

#[tokio::test]
async fn an_expired_token_closes_its_connection() {
    let keys = public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("VERIFIER__LEEWAY", "0s")]).await;
    let socket = app.connect(&User::with(ISSUER, 2)).await;
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_closed_and_catches_up() {
    const MESSAGES: usize = 600;
    let keys = public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("LIVE__SEND_TIMEOUT", "300ms")])
            .await;
    let (room, creator, other) = app.room_of_two().await;
    let mut slow = Socket::connect_narrow(&app.server, &other).await;
    slow.subscribe(room, None).await;
    let text = "x".repeat(16_000);
    for _ in 0..MESSAGES / 20 {
        join_all((0..20).map(|_| app.send(&creator, room, &text))).await;
    }
    let name = r#"chat_service_websocket_closes_total{code="4408"}"#;
    eventually("closed", || async { (app.metric(name).await >= 1.0).then_some(()) }).await;
    // What was on its way comes in order, then the close frame.
    let mut last = 0;
    let code = loop {
        match slow.read().await {
            Ok(frame) => {
                assert_eq!(frame["seq"], last + 1);
                last += 1;
            }
            Err(code) => break code,
        }
    };
    assert_eq!(code, 4408);
    let mut again = app.connect(&other).await;
    assert_eq!(again.subscribe(room, Some(last)).await, last);
    for seq in last + 1..=i64::try_from(MESSAGES).unwrap() {
        assert_eq!(again.next_seq().await, seq);
    }
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let keys = public_key_file();
    let app =
        TestApp::with(&[("VERIFIER__PUBLIC_KEY_FILES", &keys), ("LIVE__PING_INTERVAL", "50ms")])
            .await;
    let (silent, mut lively) = (app.connect(&User::new()).await, app.connect(&User::new()).await);
    let name = r#"chat_service_websocket_closes_total{code="1006"}"#;
    tokio::select! {
        // Reading answers pings.
        frame = lively.read() => panic!("{frame:?}"),
        () = eventually("dropped", || async { (app.metric(name).await >= 1.0).then_some(()) }) => {}
    }
    // 1006 must never be sent; a close frame without a code reads as 1005.
    assert_eq!(silent.closed().await, 1005);
    lively.expect_silence().await;
    assert!((app.metric("chat_service_websocket_connections").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn draining_closes_connections_with_1001() {
    let (app, user) = (TestApp::start().await, User::new());
    let mut socket = app.connect(&user).await;
    socket.expect_silence().await;
    assert!(app.metric("chat_service_websocket_connections").await >= 1.0);
    app.server.drain();
    assert_eq!(socket.closed().await, 1001);
}
