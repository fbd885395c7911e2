use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::support::{PASSWORD, TestApp, send};

#[tokio::test]
async fn only_real_keys_are_agreed_on() {
    let app = TestApp::start().await;
    let zero = "A".repeat(43) + "=";
    for bad in ["", "!!!", "AAAA", &zero, &"A".repeat(44)] {
        let answer = app.post("/api/auth/register-device", &json!({ "public_key": bad })).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], "public_key");
    }
}

#[tokio::test]
async fn device_registration_is_limited_and_has_a_ceiling() {
    let limit = ("USER_SERVICE__LIMITS__DEVICE_REGISTRATIONS_PER_HOUR", "2");
    let app = TestApp::with(&[limit]).await;
    app.register_device().await;
    app.register_device().await;
    let body = json!({ "public_key": test_support::TestDevice::offer().public_key });
    let _ = app.post("/api/auth/register-device", &body).await.expect_error(429, "rate_limited");

    let app = TestApp::with(&[("USER_SERVICE__LIMITS__UNBOUND_DEVICES", "2")]).await;
    let device = app.register_device().await;
    app.register_device().await;
    let full = app.post("/api/auth/register-device", &body).await;
    let _ = full.expect_error(503, "too_many_devices");
    let _ = app.register("alice").await.expect(201);
    app.log_in(&device, "alice").await;
    let _ = app.post("/api/auth/register-device", &body).await.expect(201);
}

#[tokio::test]
async fn a_device_that_nobody_uses_goes_after_a_day() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let unused = app.register_device().await;
    app.clock.turn(TimeDelta::hours(25));
    // Housekeeping runs when a replica starts.
    let _replica = app.replica().await;
    let id: uuid::Uuid = unused.id.parse().unwrap();
    test_support::eventually("the device is gone", || async {
        let mut connection = app.database.connect().await;
        let found = user_service::models::device::find(&mut connection, id).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    let body = app.login_body(&unused, &session.username);
    let _ = app.post("/api/auth/login", &body).await.expect_error(401, "invalid_credentials");
    app.log_in(&session.device, &session.username).await;
}

#[tokio::test]
async fn devices_are_listed_page_by_page_and_removed() {
    let app = TestApp::start().await;
    let first = app.sign_in().await;
    let second = app.log_in(&app.register_device().await, &first.username).await;
    let third = app.log_in(&app.register_device().await, &first.username).await;

    let page = app.get_as(&third, "/api/auth/devices?limit=2").await.expect(200);
    let ids = |page: &test_support::Answer| -> Vec<String> {
        let items = page.json["items"].as_array().unwrap();
        items.iter().map(|item| item["device_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&page), [third.device.id.clone(), second.device.id.clone()]);
    assert_eq!(page.json["items"][0]["current"], true);
    let next = page.member("next_before");
    let page = app.get_as(&third, &format!("/api/auth/devices?limit=2&before={next}")).await;
    assert_eq!(ids(&page), std::slice::from_ref(&first.device.id));
    assert!(page.json["next_before"].is_null());

    let path = format!("/api/auth/devices/{}", first.device.id);
    let _ = app.delete_as(&third, &path).await.expect(200);
    assert!(!app.is_live(&first).await);
    let _ = app.refresh(&first.refresh_token).await.expect_error(401, "invalid_refresh_token");
    let body = app.login_body(&first.device, &first.username);
    let _ = app.post("/api/auth/login", &body).await.expect_error(401, "invalid_credentials");
    let _ = app.delete_as(&third, &path).await.expect_error(404, "device_not_found");
    assert!(app.is_live(&second).await);
}

#[tokio::test]
async fn another_device_is_removed_only_by_who_proves_to_be_the_owner() {
    let app = TestApp::start().await;
    let other = app.sign_in().await;
    let session = app.log_in(&app.register_device().await, &other.username).await;
    app.clock.turn(TimeDelta::minutes(11));
    let path = format!("/api/auth/devices/{}", other.device.id);
    let refused = app.delete_as(&session, &path).await;
    let refused = refused.expect_error(401, "insufficient_user_authentication");
    // RFC 9470, section 3.
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
    let with = |password: &str| {
        app.request(Method::DELETE, &path)
            .bearer_auth(&session.access_token)
            .json(&json!({ "current_password": password }))
    };
    let wrong = send(with("wrong password")).await;
    let _ = wrong.expect_error(401, "insufficient_user_authentication");
    assert!(app.is_live(&other).await);
    let _ = send(with(PASSWORD)).await.expect(200);
    assert!(!app.is_live(&other).await);
    // One's own device needs no more than the token.
    let own = format!("/api/auth/devices/{}", session.device.id);
    let _ = app.delete_as(&session, &own).await.expect(200);
    assert!(!app.is_live(&session).await);
}

#[tokio::test]
async fn nobody_removes_a_stranger_s_device() {
    let app = TestApp::start().await;
    let (alice, mallory) = (app.sign_in().await, app.sign_in().await);
    let path = format!("/api/auth/devices/{}", alice.device.id);
    let _ = app.delete_as(&mallory, &path).await.expect_error(404, "device_not_found");
    let _ =
        app.delete_as(&mallory, "/api/auth/devices/x").await.expect_error(404, "device_not_found");
    assert!(app.is_live(&alice).await);
}
