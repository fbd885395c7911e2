//! Sign-in on a device, the chat, and how soon a logout is felt.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

use super::story::{PATIENCE, Story, text};
use crate::device::DeviceFile;

const PASSWORD: &str = "correct horse battery staple";

/// From the device's registration to its logout.
pub(super) async fn play(story: &mut Story) -> Result<()> {
    let (device, session) = sign_in(story).await?;
    let room = chat(story, &session).await?;
    let token = refresh(story, &device, &session).await?;
    log_out(story, &token, &room).await
}

struct Session {
    access_token: String,
    refresh_token: String,
}

async fn sign_in(story: &mut Story) -> Result<(DeviceFile, Session)> {
    let mut device = DeviceFile::new();
    let body = device.registration(Some("demo device"));
    let answer = story.user("a device registers", "/api/auth/register-device", &body).await?;
    device.agree(&answer)?;
    let username = format!("demo-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let body = json!({ "username": username, "password": PASSWORD, "display_name": "Demo" });
    story.user(&format!("{username} opens an account"), "/api/auth/register", &body).await?;
    let body = device.login(&username, PASSWORD)?;
    let answer = story.user("and logs in on the device", "/api/auth/login", &body).await?;
    let session = Session::of(&answer)?;
    Ok((device, session))
}

async fn chat(story: &mut Story, session: &Session) -> Result<String> {
    let token = &session.access_token;
    let body = json!({ "name": "Demo room" });
    let room = story.chat("a room is opened", "/api/rooms/create", token, &body).await?;
    let room = text(&room, "room_id")?;
    let mut socket = connect(story, token).await?;
    let subscribe = json!({ "type": "subscribe", "room_id": room });
    socket.send(Message::text(subscribe.to_string())).await?;
    receive(&mut socket, "subscribed").await?;
    let body = json!({ "room_id": room, "message": "Hello, Latchkey" });
    let started = Instant::now();
    story.chat("a message is posted", "/api/messages/send", token, &body).await?;
    receive(&mut socket, "message").await?;
    story.tell("and arrives over the WebSocket", started);
    let started = Instant::now();
    let (status, page) = story.read(token, &room).await?;
    if status != StatusCode::OK || page["messages"][0]["message"] != "Hello, Latchkey" {
        bail!("the message can't be read: {status} {page}");
    }
    story.tell("it is read over HTTP", started);
    Ok(room)
}

async fn refresh(story: &mut Story, device: &DeviceFile, session: &Session) -> Result<Session> {
    let body = device.refresh(&session.refresh_token)?;
    let answer = story.user("the tokens are refreshed", "/api/auth/refresh", &body).await?;
    Session::of(&answer)
}

/// Logs out and watches how soon the chat refuses the token and closes the connection.
async fn log_out(story: &mut Story, session: &Session, room: &str) -> Result<()> {
    let token = &session.access_token;
    let mut socket = connect(story, token).await?;
    let (status, _) = story.read(token, room).await?;
    if status != StatusCode::OK {
        bail!("the refreshed token is not accepted: {status}");
    }
    let body = json!({ "refresh_token": session.refresh_token });
    story.user("the device logs out", "/api/auth/logout", &body).await?;
    let ended = Instant::now();
    while story.read(token, room).await?.0 != StatusCode::UNAUTHORIZED {
        if ended.elapsed() > PATIENCE {
            bail!("the chat still accepts the token after {PATIENCE:?}");
        }
    }
    story.tell("the chat refuses the old token", ended);
    let code = closed(&mut socket).await?;
    story.tell(&format!("and has closed the live connection ({code})"), ended);
    let (status, answer) = story
        .send(Method::POST, &format!("{}/api/auth/refresh", story.user_service), None, Some(&body))
        .await?;
    if status != StatusCode::UNAUTHORIZED {
        bail!("the refresh token still works: {status} {answer}");
    }
    Ok(())
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(story: &Story, token: &str) -> Result<Socket> {
    let url = story.chat_service.replacen("http", "ws", 1) + "/api/ws";
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let (socket, _) = tokio_tungstenite::connect_async(request).await?;
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
        bail!("the connection was closed before `{kind}` came")
    };
    tokio::time::timeout(PATIENCE, wait).await.with_context(|| format!("no `{kind}` came"))?
}

async fn closed(socket: &mut Socket) -> Result<u16> {
    let wait = async {
        while let Some(frame) = socket.next().await {
            if let Message::Close(Some(close)) = frame? {
                return Ok(close.code.into());
            }
        }
        bail!("the connection ended without a close frame")
    };
    tokio::time::timeout(PATIENCE, wait).await.context("the connection stayed open")?
}

impl Session {
    fn of(answer: &Value) -> Result<Self> {
        Ok(Self {
            access_token: text(answer, "access_token")?,
            refresh_token: text(answer, "refresh_token")?,
        })
    }
}
