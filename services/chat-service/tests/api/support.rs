//! A chat-service of one's own, and one method per endpoint.

use chat_service::{MIGRATIONS, app, config};
use common::clock::Clock;
use common::service::HttpSettings;
use common::settings::Environment;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{Answer, TestDatabase, TestServer};
use uuid::Uuid;

use super::issuer::{User, public_key_file};
use super::socket::Socket;

/// Pages may connect from here.
pub(crate) const ORIGIN: &str = "https://app.example.com";

/// A server, its database and its clock.
pub(crate) struct TestApp {
    // Before the database: dropped first.
    pub(crate) server: TestServer,
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    settings: Vec<(String, String)>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(&[("VERIFIER__PUBLIC_KEY_FILES", &public_key_file())]).await
    }

    /// With other settings than the usual ones, which is none but where keys are.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create("chat", || MIGRATIONS).await;
        let usual = [
            ("ENVIRONMENT", "development"),
            ("DATABASE__URL", database.url()),
            ("DATABASE__MAX_CONNECTIONS", "8"),
            ("CORS__ALLOWED_ORIGINS", ORIGIN),
        ];
        let settings: Vec<(String, String)> = usual
            .iter()
            .chain(settings)
            .map(|(key, value)| (format!("CHAT_SERVICE__{key}"), (*value).to_owned()))
            .collect();
        let clock = Clock::default();
        let server = serve(&settings, clock.clone()).await;
        Self { server, database, clock, client: Client::builder().build().unwrap(), settings }
    }

    /// Another replica on the same database.
    pub(crate) async fn replica(&self) -> TestServer {
        serve(&self.settings, self.clock.clone()).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.server.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, user: &User, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(&user.token)).await
    }

    pub(crate) async fn post_as(&self, user: &User, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).bearer_auth(&user.token).json(body)).await
    }

    pub(crate) async fn create_room(&self, user: &User, visibility: &str) -> Uuid {
        let body = json!({ "name": "Tea", "visibility": visibility });
        let answer = self.post_as(user, "/api/rooms/create", &body).await.expect(201);
        answer.member("room_id").parse().unwrap()
    }

    /// A public room with its creator and another member.
    pub(crate) async fn room_of_two(&self) -> (Uuid, User, User) {
        let (creator, other) = (User::new(), User::new());
        let room = self.create_room(&creator, "public").await;
        let _ = self.join(&other, room).await.expect(200);
        (room, creator, other)
    }

    pub(crate) async fn join(&self, user: &User, room: Uuid) -> Answer {
        self.post_as(user, "/api/rooms/join", &json!({ "room_id": room })).await
    }

    pub(crate) async fn leave(&self, user: &User, room: Uuid) -> Answer {
        self.post_as(user, "/api/rooms/leave", &json!({ "room_id": room })).await
    }

    pub(crate) async fn invite(&self, user: &User, room: Uuid, other: Uuid) -> Answer {
        let body = json!({ "room_id": room, "user_id": other });
        self.post_as(user, "/api/rooms/invite", &body).await
    }

    pub(crate) async fn remove(&self, user: &User, room: Uuid, other: Uuid) -> Answer {
        let body = json!({ "room_id": room, "user_id": other });
        self.post_as(user, "/api/rooms/remove", &body).await
    }

    pub(crate) async fn send(&self, user: &User, room: Uuid, message: &str) -> Answer {
        let body = json!({ "room_id": room, "message": message });
        self.post_as(user, "/api/messages/send", &body).await
    }

    /// Sends so many messages, one after the other.
    pub(crate) async fn send_many(&self, user: &User, room: Uuid, count: usize) {
        for number in 1..=count {
            let _ = self.send(user, room, &format!("message {number}")).await.expect(200);
        }
    }

    pub(crate) async fn messages(&self, user: &User, room: Uuid, query: &str) -> Answer {
        self.get_as(user, &format!("/api/messages/{room}{query}")).await
    }

    /// A WebSocket on this replica.
    pub(crate) async fn connect(&self, user: &User) -> Socket {
        Socket::connect(&self.server, user).await
    }

    /// The value of a metric, labels and all as `/metrics` writes it; 0 where it is missing.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let url = self.server.admin_url("/metrics");
        let text = send(self.client.get(url)).await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

async fn serve(settings: &[(String, String)], clock: Clock) -> TestServer {
    let environment: Environment = settings.iter().cloned().collect();
    let settings: config::Settings = config::SCHEMA.load(&environment).unwrap();
    let write_timeout = settings.http.write_timeout;
    let http = HttpSettings { write_timeout, ..TestServer::http() };
    TestServer::start_with(http, move || app::build(settings, clock)).await
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await
}

/// The `seq` of each of a list's messages.
pub(crate) fn seqs(answer: &Answer) -> Vec<i64> {
    let messages = answer.json["messages"].as_array().unwrap();
    messages.iter().map(|message| message["seq"].as_i64().unwrap()).collect()
}
