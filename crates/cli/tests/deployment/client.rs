//! What people and operators do with a deployment, wherever its services run.

use std::time::Duration;

use common::clock::Clock;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::{Answer, TestDevice, eventually};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) const ISSUER: &str = "http://id.example";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody signed in.
pub(crate) struct Session {
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn get(url: &str, token: &str) -> Answer {
    let client = Client::builder().build().unwrap();
    Answer::read(client.get(url).bearer_auth(token).send().await.unwrap()).await
}

pub(crate) async fn post(url: &str, body: &Value) -> Answer {
    let client = Client::builder().build().unwrap();
    Answer::read(client.post(url).json(body).send().await.unwrap()).await
}

pub(crate) async fn post_as(url: &str, token: &str, body: &Value) -> Answer {
    let client = Client::builder().build().unwrap();
    Answer::read(client.post(url).bearer_auth(token).json(body).send().await.unwrap()).await
}

/// Registers somebody at the user-service of this URL and logs them in.
pub(crate) async fn sign_in(users: &str, username: &str) -> Session {
    let device = register(users, username).await;
    log_in(users, username, &device).await
}

/// Registers somebody and a device.
pub(crate) async fn register(users: &str, username: &str) -> TestDevice {
    let offer = TestDevice::offer();
    let body = json!({ "public_key": offer.public_key });
    let answer = post(&format!("{users}/api/auth/register-device"), &body).await.expect(201);
    let device = TestDevice::agree(&offer, &answer.json);
    let body = json!({ "username": username, "password": PASSWORD });
    let _ = post(&format!("{users}/api/auth/register"), &body).await.expect(201);
    device
}

pub(crate) async fn log_in(users: &str, username: &str, device: &TestDevice) -> Session {
    let login = device.login(username, PASSWORD, Clock::default().now().timestamp_millis());
    let answer = post(&format!("{users}/api/auth/login"), &login).await.expect(200);
    Session {
        user_id: answer.json["user"]["user_id"].as_str().unwrap().to_owned(),
        device_id: device.id.clone(),
        access_token: answer.member("access_token"),
        refresh_token: answer.member("refresh_token"),
    }
}

pub(crate) async fn log_out(users: &str, session: &Session) {
    let body = json!({ "refresh_token": session.refresh_token });
    let _ = post(&format!("{users}/api/auth/logout"), &body).await.expect(200);
}

/// What the chats of these URLs say to the token.
pub(crate) async fn verdicts(chats: &[String], token: &str) -> Vec<u16> {
    let asked = chats
        .iter()
        .map(|chat| async move { get(&format!("{chat}/api/rooms"), token).await.status.as_u16() });
    join_all(asked).await
}

/// All chats say `status` on `/health/ready`.
pub(crate) async fn until_ready(chats: &[String], status: &str) {
    for chat in chats {
        eventually(status, || async {
            let answer = get(&format!("{chat}/health/ready"), "").await;
            (answer.json["status"] == status).then_some(())
        })
        .await;
    }
}

/// A metric of each of these admin listeners, labels and all as `/metrics` writes it; 0 where it
/// is missing.
pub(crate) async fn metrics(admins: &[String], name: &str) -> Vec<f64> {
    let asked = admins.iter().map(|admin| async move {
        let text = get(&format!("{admin}/metrics"), "").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    });
    join_all(asked).await
}

pub(crate) async fn until_metric(admins: &[String], name: &str, holds: impl Fn(f64) -> bool) {
    eventually(name, || async {
        metrics(admins, name).await.into_iter().all(&holds).then_some(())
    })
    .await;
}

pub(crate) async fn connect_everywhere(chats: &[String], session: &Session) -> Vec<Socket> {
    join_all(chats.iter().map(|chat| connect(chat, session))).await
}

async fn connect(chat: &str, session: &Session) -> Socket {
    let url = format!("{chat}/api/ws").replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {}", session.access_token);
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// The codes that they are closed with.
pub(crate) async fn close_codes(sockets: Vec<Socket>) -> Vec<u16> {
    join_all(sockets.into_iter().map(close_code)).await
}

async fn close_code(mut socket: Socket) -> u16 {
    loop {
        let frame = timeout(Duration::from_secs(20), socket.next()).await.expect("a frame in time");
        if let Message::Close(reason) = frame.expect("an open connection").unwrap() {
            return reason.unwrap().code.into();
        }
    }
}
