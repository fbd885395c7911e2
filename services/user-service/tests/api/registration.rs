use serde_json::{Value, json};

use super::support::{PASSWORD, TestApp};

#[tokio::test]
async fn a_new_user_is_answered_without_secrets() {
    let app = TestApp::start().await;
    let body = json!({
        "username": " Alice ", "password": PASSWORD, "display_name": "Alice A.",
        "phone_number": "+49 30 1234", "email": "alice@example.com",
        "avatar_url": "https://example.com/a.png", "captcha_token": "ignored",
    });
    let answer = app.post("/api/auth/register", &body).await.expect(201);
    let user = &answer.json["user"];
    assert_eq!(user["username"], "Alice");
    assert_eq!(user["display_name"], "Alice A.");
    assert_eq!(user["phone_number"], "+49 30 1234");
    assert_eq!(user["avatar_url"], "https://example.com/a.png");
    assert_eq!(user["is_new_user"], true);
    assert!(!answer.text.contains("password") && !answer.text.contains("argon2"));
}

#[tokio::test]
async fn a_name_that_looks_the_same_is_taken() {
    let app = TestApp::start().await;
    let _ = app.register("Straße").await.expect(201);
    for same in ["STRASSE", " straße ", "ＳＴＲＡＳＳＥ"] {
        let _ = app.register(same).await.expect_error(409, "username_taken");
    }
}

#[tokio::test]
async fn fields_that_are_wrong_are_named() {
    let app = TestApp::start().await;
    let good = json!({ "username": "alice", "password": PASSWORD });
    for (field, value) in [
        ("username", json!("ab")),
        ("username", json!("a\u{0}lice")),
        ("username", json!(7)),
        ("username", Value::Null),
        ("password", json!("short")),
        ("password", json!("password")),
        ("password", json!("x".repeat(257))),
        ("email", json!("nobody")),
        ("display_name", json!("x".repeat(101))),
        ("display_name", json!("a\nb")),
        ("phone_number", json!("1\u{0}")),
        ("avatar_url", json!("javascript:alert(1)")),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = app.post("/api/auth/register", &body).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], field, "{value}");
        assert_eq!(answer.json["operation"], "register_user");
    }
}

#[tokio::test]
async fn registration_can_be_switched_off_and_is_limited_by_address() {
    let app = TestApp::with(&[("USER_SERVICE__LIMITS__REGISTRATION_OPEN", "false")]).await;
    let _ = app.register("alice").await.expect_error(403, "registration_closed");
    let app = TestApp::with(&[("USER_SERVICE__LIMITS__REGISTRATIONS_PER_HOUR", "2")]).await;
    let _ = app.register("alice").await.expect(201);
    let _ = app.register("alice").await.expect(409);
    let limited = app.register("bob-b").await.expect_error(429, "rate_limited");
    let after: u64 = limited.header("retry-after").parse().unwrap();
    assert!((3500..=3600).contains(&after), "{after}");
}

#[tokio::test]
async fn concurrent_registrations_of_one_name_leave_one_user() {
    let app = TestApp::start().await;
    let attempts = (0..8).map(|_| app.register("alice"));
    let mut statuses: Vec<u16> = futures_util::future::join_all(attempts)
        .await
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}
