//! Revocation over three chat-services of one real user-service: everywhere, at once, and not
//! missed by who was cut off.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::net::TcpListener;
use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::service::HttpSettings;
use common::settings::Environment;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::{Answer, TestDatabase, TestDevice, TestServer, eventually};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PASSWORD: &str = "correct horse battery";
const ISSUER: &str = "http://id.example";

/// Three verifiers behind one user-service, which another replica stands beside.
struct Deployment {
    chats: Vec<TestServer>,
    /// Where the chats read keys and feed.
    followed: Option<TestServer>,
    /// Where people log in and out.
    users: TestServer,
    /// The chats' clock.
    clock: Clock,
    followed_http: HttpSettings,
    user_database: TestDatabase,
    _chat_database: TestDatabase,
}

/// Somebody signed in.
struct Session {
    access_token: String,
    refresh_token: String,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn serve_users(database: &TestDatabase, http: HttpSettings) -> TestServer {
    let environment = Environment::from_iter([
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", ISSUER),
        ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "64"),
        ("USER_SERVICE__PASSWORDS__PASSES", "1"),
        ("USER_SERVICE__DATABASE__URL", database.url()),
    ]);
    let settings = user_service::config::SCHEMA.load(&environment).unwrap();
    let build = move || user_service::app::build(settings, Clock::default());
    TestServer::start_with(http, build).await
}

async fn serve_chat(database: &TestDatabase, user_service: &str, clock: Clock) -> TestServer {
    let environment = Environment::from_iter([
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE_URL", user_service),
        ("CHAT_SERVICE__VERIFIER__ISSUER", ISSUER),
        ("CHAT_SERVICE__DATABASE__URL", database.url()),
        ("CHAT_SERVICE__DATABASE__MAX_CONNECTIONS", "4"),
    ]);
    let settings = chat_service::config::SCHEMA.load(&environment).unwrap();
    TestServer::start(move || chat_service::app::build(settings, clock)).await
}

impl Deployment {
    async fn start() -> Self {
        let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        // It comes back to the same port, so that must be known.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let followed_http = HttpSettings { port, ..TestServer::http() };
        let followed = serve_users(&user_database, followed_http.clone()).await;
        let users = serve_users(&user_database, TestServer::http()).await;
        let (clock, url) = (Clock::default(), followed.url(""));
        let chats = (0..3).map(|_| serve_chat(&chat_database, &url, clock.clone()));
        let deployment = Self {
            chats: join_all(chats).await,
            followed: Some(followed),
            users,
            clock,
            followed_http,
            user_database,
            _chat_database: chat_database,
        };
        deployment.until_ready("ready").await;
        deployment
    }

    /// All chats say `status` on `/health/ready`.
    async fn until_ready(&self, status: &str) {
        for chat in &self.chats {
            eventually(status, || async {
                let answer = get(&chat.url("/health/ready"), "").await;
                (answer.json["status"] == status).then_some(())
            })
            .await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let client = Client::builder().build().unwrap();
        Answer::read(client.post(self.users.url(path)).json(body).send().await.unwrap()).await
    }

    async fn sign_in(&self, username: &str) -> Session {
        let offer = TestDevice::offer();
        let body = json!({ "public_key": offer.public_key });
        let answer = self.post("/api/auth/register-device", &body).await.expect(201);
        let device = TestDevice::agree(&offer, &answer.json);
        let body = json!({ "username": username, "password": PASSWORD });
        let _ = self.post("/api/auth/register", &body).await.expect(201);
        let now_ms = Clock::default().now().timestamp_millis();
        let login = device.login(username, PASSWORD, now_ms);
        let answer = self.post("/api/auth/login", &login).await.expect(200);
        let (access_token, refresh_token) =
            (answer.member("access_token"), answer.member("refresh_token"));
        Session { access_token, refresh_token }
    }

    async fn log_out(&self, session: &Session) {
        let body = json!({ "refresh_token": session.refresh_token });
        let _ = self.post("/api/auth/logout", &body).await.expect(200);
    }

    /// What each chat says to the token.
    async fn verdicts(&self, session: &Session) -> Vec<u16> {
        let asked = self.chats.iter().map(|chat| async {
            get(&chat.url("/api/rooms"), &session.access_token).await.status.as_u16()
        });
        join_all(asked).await
    }

    async fn connect_everywhere(&self, session: &Session) -> Vec<Socket> {
        join_all(self.chats.iter().map(|chat| connect(chat, session))).await
    }

    async fn metrics(&self, name: &str) -> Vec<f64> {
        let asked = self.chats.iter().map(|chat| async {
            let text = get(&chat.admin_url("/metrics"), "").await.text;
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.map_or(0.0, |value| value.parse().unwrap())
        });
        join_all(asked).await
    }

    async fn until_metric(&self, name: &str, holds: impl Fn(f64) -> bool) {
        eventually(name, || async {
            self.metrics(name).await.into_iter().all(&holds).then_some(())
        })
        .await;
    }
}

async fn get(url: &str, token: &str) -> Answer {
    let client = Client::builder().build().unwrap();
    Answer::read(client.get(url).bearer_auth(token).send().await.unwrap()).await
}

async fn connect(chat: &TestServer, session: &Session) -> Socket {
    let url = chat.url("/api/ws").replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {}", session.access_token);
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// The code that it is closed with.
async fn close_code(mut socket: Socket) -> u16 {
    loop {
        let frame = timeout(Duration::from_secs(20), socket.next()).await.expect("a frame in time");
        if let Message::Close(reason) = frame.expect("an open connection").unwrap() {
            return reason.unwrap().code.into();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_a_refusal_and_a_closed_connection_on_every_replica() {
    let deployment = Deployment::start().await;
    let (session, other) = (deployment.sign_in("alice").await, deployment.sign_in("bob").await);
    let sockets = deployment.connect_everywhere(&session).await;
    assert_eq!(deployment.verdicts(&session).await, [200; 3]);
    deployment.log_out(&session).await;
    let codes = join_all(sockets.into_iter().map(close_code)).await;
    assert_eq!(codes, [4401; 3]);
    // A connection is closed only after new requests are refused.
    assert_eq!(deployment.verdicts(&session).await, [401; 3]);
    assert_eq!(deployment.verdicts(&other).await, [200; 3]);
    // The key and the session: two entries at least, each measured.
    let measured = "chat_service_revocation_delay_seconds_bucket{le=\"10\"}";
    deployment.until_metric(measured, |count| count >= 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_trusts_to_the_stale_limit_and_then_misses_nothing() {
    let mut deployment = Deployment::start().await;
    let (session, other) = (deployment.sign_in("alice").await, deployment.sign_in("bob").await);
    let sockets = deployment.connect_everywhere(&session).await;
    assert_eq!(deployment.verdicts(&session).await, [200; 3]);
    assert_eq!(deployment.verdicts(&other).await, [200; 3]);

    drop(deployment.followed.take());
    deployment.until_metric("chat_service_feed_connected", |connected| connected < 0.5).await;
    let degraded = get(&deployment.chats[0].admin_url("/ready"), "").await.expect(200);
    assert!(degraded.text.contains("the change feed is lost"), "{}", degraded.text);
    deployment.log_out(&session).await;
    // They can't know, and go on for a while.
    assert_eq!(deployment.verdicts(&session).await, [200; 3]);

    deployment.clock.turn(TimeDelta::seconds(31));
    deployment.until_ready("not_ready").await;
    let codes = join_all(sockets.into_iter().map(close_code)).await;
    assert_eq!(codes, [1013; 3]);
    assert_eq!(deployment.verdicts(&session).await, [503; 3]);
    assert_eq!(deployment.verdicts(&other).await, [503; 3]);

    let http = deployment.followed_http.clone();
    deployment.followed = Some(serve_users(&deployment.user_database, http).await);
    deployment.until_ready("ready").await;
    assert_eq!(deployment.verdicts(&session).await, [401; 3]);
    assert_eq!(deployment.verdicts(&other).await, [200; 3]);
}
