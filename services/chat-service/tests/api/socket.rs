//! A WebSocket client that waits for frames.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use test_support::TestServer;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use super::issuer::User;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// By room, as far as we were told.
    present: BTreeMap<String, BTreeSet<Uuid>>,
}

/// A handshake to be sent.
pub(crate) fn handshake(server: &TestServer, headers: &[(&'static str, &str)]) -> Request {
    let url = format!("ws://{}/api/ws", server.address());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

impl Socket {
    pub(crate) async fn connect(server: &TestServer, user: &User) -> Self {
        let bearer = format!("Bearer {}", user.token);
        Self::open(server, &[("authorization", &bearer)]).await.unwrap().0
    }

    pub(crate) async fn open(
        server: &TestServer,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, Response), Error> {
        let tcp = TcpStream::connect(server.address()).await.unwrap();
        let (stream, response) = client_async(handshake(server, headers), tcp).await?;
        Ok((Self { stream, present: BTreeMap::new() }, response))
    }

    /// One whose kernel takes little in advance.
    pub(crate) async fn connect_narrow(server: &TestServer, user: &User) -> Self {
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        let tcp = tcp.connect(server.address()).await.unwrap();
        let bearer = format!("Bearer {}", user.token);
        let request = handshake(server, &[("authorization", &bearer)]);
        let stream = client_async(request, tcp).await.unwrap().0;
        Self { stream, present: BTreeMap::new() }
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// One message in so many frames of `piece` each.
    pub(crate) async fn say_in_pieces(&mut self, piece: &str, count: usize) {
        for number in 1..=count {
            let kind = if number == 1 { Data::Text } else { Data::Continue };
            let piece = piece.as_bytes().to_vec();
            let frame = Frame::message(piece, OpCode::Data(kind), number == count);
            // The server may close before the last of them.
            let _closed = self.stream.send(Message::Frame(frame)).await;
        }
    }

    /// Our own address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }

    /// Subscribes; the `seq` from which it goes on.
    pub(crate) async fn subscribe(&mut self, room: Uuid, after: Option<i64>) -> i64 {
        self.say(&json!({ "type": "subscribe", "room_id": room, "after": after })).await;
        let frame = self.expect("subscribed").await;
        assert_eq!(frame["room_id"], room.to_string());
        frame["seq"].as_i64().unwrap()
    }

    /// The next frame but for presence, which is only noted, or the code that the connection was
    /// closed with.
    pub(crate) async fn read(&mut self) -> Result<Value, u16> {
        loop {
            let frame = self.read_any().await?;
            if frame["type"] != "presence" {
                return Ok(frame);
            }
            self.note_presence(&frame);
        }
    }

    fn note_presence(&mut self, frame: &Value) {
        let ids = |member: &str| -> BTreeSet<Uuid> {
            let ids = frame[member].as_array().unwrap().iter();
            ids.map(|id| id.as_str().unwrap().parse().unwrap()).collect()
        };
        let room = frame["room_id"].as_str().unwrap().to_owned();
        let present = self.present.entry(room).or_default();
        present.extend(ids("joined"));
        present.retain(|user| !ids("left").contains(user));
    }

    /// Reads on until we are told that just `users` are in `room`.
    pub(crate) async fn until_present(&mut self, room: Uuid, users: &BTreeSet<Uuid>) {
        while self.present.get(&room.to_string()) != Some(users) {
            let frame = self.read_any().await.expect("an open connection");
            assert_eq!(frame["type"], "presence", "{frame}");
            self.note_presence(&frame);
        }
    }

    async fn read_any(&mut self) -> Result<Value, u16> {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
            match frame {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(reason))) => {
                    return Err(reason.map_or(1005, |reason| reason.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next frame, which has to be of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.read().await.expect("an open connection");
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// The next frame, which has to be this error.
    pub(crate) async fn expect_error(&mut self, code: &str) {
        assert_eq!(self.expect("error").await["code"], code);
    }

    /// The next message's `seq`.
    pub(crate) async fn next_seq(&mut self) -> i64 {
        self.expect("message").await["seq"].as_i64().unwrap()
    }

    /// Nothing has come: the next frame answers a ping sent now.
    pub(crate) async fn expect_silence(&mut self) {
        self.say(&json!({ "type": "ping" })).await;
        self.expect("pong").await;
    }

    /// Reads on to the end; its code.
    pub(crate) async fn closed(mut self) -> u16 {
        loop {
            if let Err(code) = self.read().await {
                return code;
            }
        }
    }
}
