//! The story, with every service killed and started again after each of its steps.

use serde_json::{Value, json};
use test_support::{ServiceProcess, TestDatabase};

use super::client::{
    get, log_in, log_out, post, post_as, register, sign_in, until_ready, verdicts,
};
use super::processes::{free_port, serve_chat, serve_users};

struct Services {
    users: ServiceProcess,
    chat: ServiceProcess,
    /// The chat finds it there again.
    port: u16,
    databases: [TestDatabase; 2],
}

impl Services {
    async fn start() -> Self {
        let databases = [
            TestDatabase::create("user", || user_service::MIGRATIONS).await,
            TestDatabase::create("chat", || chat_service::MIGRATIONS).await,
        ];
        Self::start_on(databases, free_port()).await
    }

    async fn start_on(databases: [TestDatabase; 2], port: u16) -> Self {
        let users = serve_users(&databases[0], port).await;
        let chat = serve_chat(&databases[1], &users.url("")).await;
        until_ready(&[chat.url("")], "ready").await;
        Self { users, chat, port, databases }
    }

    /// Both at once, as a machine that loses its power.
    async fn crash(self) -> Self {
        let Self { users, chat, port, databases } = self;
        tokio::join!(users.kill(), chat.kill());
        Self::start_on(databases, port).await
    }

    fn auth(&self, path: &str) -> String {
        self.users.url(&format!("/api/auth/{path}"))
    }
}

/// The texts of a room, newest first.
async fn texts(services: &Services, room: &str, token: &str) -> Vec<Value> {
    let answer = get(&services.chat.url(&format!("/api/messages/{room}")), token).await.expect(200);
    let messages = answer.json["messages"].as_array().unwrap();
    messages.iter().map(|message| message["message"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_every_step_the_services_lose_nothing_and_bring_nothing_back() {
    let services = Services::start().await;
    let bob = sign_in(&services.users.url(""), "bob").await;
    let device = register(&services.users.url(""), "alice").await;
    let services = services.crash().await;
    let alice = log_in(&services.users.url(""), "alice", &device).await;
    let services = services.crash().await;

    let url = services.chat.url("/api/rooms/create");
    let room = post_as(&url, &alice.access_token, &json!({ "name": "Tea" })).await.expect(201);
    let room = room.member("room_id");
    let join = json!({ "room_id": room });
    let url = services.chat.url("/api/rooms/join");
    let _ = post_as(&url, &bob.access_token, &join).await.expect(200);
    let services = services.crash().await;
    let said = json!({ "room_id": room, "message": "still here", "client_message_id": "one" });
    for _ in 0..2 {
        let url = services.chat.url("/api/messages/send");
        let _ = post_as(&url, &alice.access_token, &said).await.expect(200);
    }
    let services = services.crash().await;
    assert_eq!(texts(&services, &room, &bob.access_token).await, ["still here"]);

    // Whether or not this one was served, its token buys the successor afterwards.
    let presented = json!({ "refresh_token": alice.refresh_token });
    let url = services.auth("refresh");
    let asked =
        tokio::spawn(reqwest::Client::builder().build().unwrap().post(url).json(&presented).send());
    let services = services.crash().await;
    let _lost = asked.await.unwrap();
    let successor = post(&services.auth("refresh"), &presented).await.expect(200);
    let services = services.crash().await;
    let again = post(&services.auth("refresh"), &presented).await.expect(200);
    assert_eq!(again.member("refresh_token"), successor.member("refresh_token"));
    let access = again.member("access_token");
    assert_eq!(verdicts(&[services.chat.url("")], &access).await, [200]);

    log_out(&services.users.url(""), &alice).await;
    let services = services.crash().await;
    for token in [&alice.access_token, &access] {
        assert_eq!(verdicts(&[services.chat.url("")], token).await, [401]);
    }
    for token in [&alice.refresh_token, &successor.member("refresh_token")] {
        let answer = post(&services.auth("refresh"), &json!({ "refresh_token": token })).await;
        let _ = answer.expect_error(401, "invalid_refresh_token");
    }
    assert_eq!(texts(&services, &room, &bob.access_token).await, ["still here"]);
    let back = log_in(&services.users.url(""), "alice", &device).await;
    assert_eq!(texts(&services, &room, &back.access_token).await, ["still here"]);
}
