//! The real binary: how it starts, logs and ends.

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::{ServiceProcess, TestDatabase};
use uuid::Uuid;

use super::issuer::{User, public_key_file};

const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-service");

async fn start(database: &TestDatabase) -> ServiceProcess {
    let keys = public_key_file();
    let variables =
        [("__DATABASE__URL", database.url()), ("__VERIFIER__PUBLIC_KEY_FILES", keys.as_str())];
    ServiceProcess::start(PROGRAM, &variables).await
}

async fn post(process: &ServiceProcess, user: &User, path: &str, body: Value) -> Value {
    let request = Client::builder().build().unwrap().post(process.url(path));
    let answer = request.bearer_auth(&user.token).json(&body).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert!(status.is_success(), "{status} {body}");
    body
}

#[tokio::test]
async fn sigterm_lets_a_request_in_flight_end() {
    let database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
    let (process, user) = (start(&database).await, User::new());
    let room = post(&process, &user, "/api/rooms/create", json!({ "name": "Tea" })).await;
    // Whoever sends has to wait for us.
    let mut holder = database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM rooms FOR UPDATE").await.unwrap();
    let body = json!({ "room_id": room["room_id"], "message": "the last" });
    let sending = post(&process, &user, "/api/messages/send", body);
    let ending = async {
        database.until_somebody_waits().await;
        process.terminate();
        process.logged("draining").await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (sent, ()) = tokio::join!(sending, ending);
    assert_eq!(sent["status"], "message sent");
    let status = process.ended().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_request_is_one_line_that_says_what_and_never_for_whom() {
    let database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
    let (process, user) = (start(&database).await, User::new());
    let (room, request_id) = (Uuid::new_v4(), "from-the-caller.1");
    let url = process.url(&format!("/api/messages/{room}?limit=2"));
    let request = Client::builder().build().unwrap().get(url).header("x-request-id", request_id);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = request.bearer_auth(&user.token).send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], request_id);
    let line = process.logged("request").await;
    assert_eq!((&line["method"], &line["status"]), (&json!("GET"), &json!(404)));
    assert_eq!(line["route"], "/api/messages/{room_id}");
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{line}");
    assert_eq!(line["span"]["request_id"], request_id);
    assert_eq!(line["span"]["trace_id"], trace);
    let text = line.to_string();
    assert!(!text.contains(&user.token) && !text.contains(&room.to_string()), "{text}");
}

#[tokio::test]
async fn bad_settings_are_one_line_that_names_the_key_and_status_64() {
    const DATABASE: (&str, &str) = ("DATABASE__URL", "postgres://nobody@127.0.0.1:1/none");
    for (settings, key) in [
        (vec![], "DATABASE__URL"),
        (vec![DATABASE], "verifier.client_secret"),
        (vec![DATABASE, ("HTTP__PORT", "many")], "HTTP__PORT"),
        (vec![DATABASE, ("LIVE__PING_INTERVAL", "0s")], "LIVE__PING_INTERVAL"),
        (vec![DATABASE, ("LIVE__POLL_INTERVAL", "0")], "LIVE__POLL_INTERVAL"),
        (vec![DATABASE, ("DATABASE__MAX_CONNECTIONS", "0")], "DATABASE__MAX_CONNECTIONS"),
        (vec![DATABASE, ("DATABASE__CONNECT_TIMEOUT", "0")], "DATABASE__CONNECT_TIMEOUT"),
        (
            vec![
                DATABASE,
                ("VERIFIER__CLIENT_SECRET", "s"),
                ("VERIFIER__STALE_LIMIT", "3s"),
                ("HTTP__PORT", "0"),
            ],
            "verifier.stale_limit",
        ),
        (vec![DATABASE, ("LIVE__SPEED", "1")], "LIVE__SPEED"),
    ] {
        let settings = settings.iter().map(|(key, value)| (format!("CHAT_SERVICE__{key}"), value));
        let mut command = ServiceProcess::command(PROGRAM, &[]);
        let output = command.envs(settings).output().await.unwrap();
        assert_eq!(output.status.code(), Some(64), "{key}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().filter(|line| line.contains(key)).count(), 1, "{said}");
        assert!(said.lines().all(|line| line.starts_with("chat-service: ")), "{said}");
        assert!(output.stdout.is_empty(), "{key}");
    }
}
