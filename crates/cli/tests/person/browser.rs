//! A browser's session is over at chat-service as soon as it is at user-service.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use test_support::{TestBrowser, eventually};

use super::support::{PASSWORD, World};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_in_a_browser_is_heard_at_chat_service_at_once() {
    let world = World::new().await;
    let browser = TestBrowser::new(&world.users.url(""), "http://id.example", "test/1");
    let _ = browser.get_csrf().await.expect(200);
    let account = json!({ "username": "alice", "password": PASSWORD });
    let _ = browser.post("/api/v5/auth/register", &account).await.expect(201);
    let _ = browser.post("/api/v5/auth/login", &account).await.expect(200);
    let token = browser.cookie("access").unwrap();
    let rooms = world.chat.url("/api/rooms");
    let client = Client::builder().timeout(PATIENCE).build().unwrap();
    let ask = || async { client.get(&rooms).bearer_auth(&token).send().await.unwrap().status() };
    assert_eq!(ask().await, StatusCode::OK);
    let in_a_cookie = client.get(&rooms).header("cookie", format!("latchkey_v5_access={token}"));
    let in_a_cookie = in_a_cookie.send().await.unwrap().status();
    assert_eq!(in_a_cookie, StatusCode::UNAUTHORIZED, "no cookie is accepted there");
    let _ = browser.post("/api/v5/auth/logout", &json!({})).await.expect(200);
    assert!(browser.cookie("access").is_none() && browser.cookie("refresh").is_none());
    eventually("chat-service refuses", || async {
        (ask().await == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}
