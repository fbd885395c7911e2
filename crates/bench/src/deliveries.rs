//! From a message's posting to its arrival at a thousand sockets.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::figure::{Figure, Unit};
use crate::house::House;
use crate::load::{Latencies, ms};

const SOCKETS: usize = 1_000;
const MESSAGES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::start(1).await?;
    let token = house.join().await?.access_token;
    let room = house.chat("/api/rooms/create", &token, &json!({ "name": "Bench" })).await?;
    let room = room["room_id"].as_str().context("a room")?.to_owned();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(subscribe(&house, &token, &room).await?);
    }
    let mut arrivals = Vec::new();
    for number in 0..MESSAGES {
        let body = json!({ "room_id": room, "message": format!("number {number}") });
        let posted = Instant::now();
        let receive = try_join_all(sockets.iter_mut().map(|socket| async move {
            receive(socket, "message").await?;
            anyhow::Ok(posted.elapsed())
        }));
        let (_, arrived) =
            tokio::try_join!(house.chat("/api/messages/send", &token, &body), receive)?;
        arrivals.extend(arrived);
    }
    let latencies = Latencies::new(arrivals);
    let [half, most, all] = [0.5, 0.99, 1.0].map(|share| ms(latencies.percentile(share)));
    Ok(vec![Figure {
        what: "a message to 1,000 sockets, from its posting to its arrival, p99",
        value: most,
        unit: Unit::Milliseconds,
        goal: None,
        detail: format!("{MESSAGES} messages, p50 {half:.1} ms, longest {all:.1} ms"),
        limit: "the load: reading 1,000 frames costs it three times the processor time that \
                sending them costs chat-service",
    }])
}

async fn subscribe(house: &House, token: &str, room: &str) -> Result<Socket> {
    let url = house.chats[0].url("/api/ws").replacen("http", "ws", 1);
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let subscribe = json!({ "type": "subscribe", "room_id": room });
    socket.send(Message::text(subscribe.to_string())).await?;
    receive(&mut socket, "subscribed").await?;
    Ok(socket)
}

async fn receive(socket: &mut Socket, kind: &str) -> Result<()> {
    let wait = async {
        while let Some(frame) = socket.next().await {
            let frame: Value = serde_json::from_str(frame?.to_text()?).unwrap_or_default();
            if frame["type"] == kind {
                return Ok(());
            }
        }
        bail!("a socket was closed")
    };
    timeout(PATIENCE, wait).await.with_context(|| format!("no `{kind}` came"))?
}
