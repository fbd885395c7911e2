//! The main story, each step with its time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

use crate::device::DeviceFile;

/// How long anything in the story may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "correct horse battery staple";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where user-service is
    #[arg(long, env = "LATCHKEY_USER_SERVICE_URL", default_value = "http://127.0.0.1:8080")]
    user_service: String,
    /// Where chat-service is
    #[arg(long, env = "LATCHKEY_CHAT_SERVICE_URL", default_value = "http://127.0.0.1:8081")]
    chat_service: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments))
}

async fn play(arguments: &Arguments) -> Result<()> {
    let mut story = Story::new(arguments)?;
    let session = sign_in(&mut story).await?;
    let room = chat(&mut story, &session).await?;
    let token = refresh(&mut story, &session).await?;
    log_out(&mut story, &token, &room).await
}

struct Story {
    client: Client,
    user_service: String,
    chat_service: String,
    step: u32,
}

struct Session {
    access_token: String,
    refresh_token: String,
}

async fn sign_in(story: &mut Story) -> Result<Session> {
    let mut device = DeviceFile::new();
    let body = device.registration(Some("demo device"));
    let answer = story.user("a device registers", "/api/auth/register-device", &body).await?;
    device.agree(&answer)?;
    let username = format!("demo-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let body = json!({ "username": username, "password": PASSWORD, "display_name": "Demo" });
    story.user(&format!("{username} opens an account"), "/api/auth/register", &body).await?;
    let body = device.login(&username, PASSWORD)?;
    let answer = story.user("and logs in on the device", "/api/auth/login", &body).await?;
    Session::of(&answer)
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

async fn refresh(story: &mut Story, session: &Session) -> Result<Session> {
    let body = json!({ "refresh_token": session.refresh_token });
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
    println!("the story ends well");
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

fn text(answer: &Value, member: &str) -> Result<String> {
    let found = answer[member].as_str().with_context(|| format!("no `{member}` in {answer}"))?;
    Ok(found.to_owned())
}

impl Session {
    fn of(answer: &Value) -> Result<Self> {
        Ok(Self {
            access_token: text(answer, "access_token")?,
            refresh_token: text(answer, "refresh_token")?,
        })
    }
}

impl Story {
    fn new(arguments: &Arguments) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).user_agent("latchkey-demo").build()?;
        let trim = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            user_service: trim(&arguments.user_service),
            chat_service: trim(&arguments.chat_service),
            step: 0,
        })
    }

    /// A step at user-service that must succeed.
    async fn user(&mut self, what: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.user_service);
        self.must(what, &url, None, body).await
    }

    /// A step at chat-service that must succeed.
    async fn chat(&mut self, what: &str, path: &str, token: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.chat_service);
        self.must(what, &url, Some(token), body).await
    }

    async fn must(
        &mut self,
        what: &str,
        url: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Value> {
        let started = Instant::now();
        let (status, answer) = self.send(Method::POST, url, token, Some(body)).await?;
        if !status.is_success() {
            bail!("{what}: {url} answered {status}: {answer}");
        }
        self.tell(what, started);
        Ok(answer)
    }

    async fn read(&self, token: &str, room: &str) -> Result<(StatusCode, Value)> {
        let url = format!("{}/api/messages/{room}", self.chat_service);
        self.send(Method::GET, &url, Some(token), None).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            format!("{url} can't be reached; `cargo xtask up` starts the services")
        })?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or_default()))
    }

    fn tell(&mut self, what: &str, started: Instant) {
        self.step += 1;
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        println!("{:>2}. {what:<48} {ms:>8.1} ms", self.step);
    }
}
