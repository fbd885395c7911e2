use chrono::TimeDelta;
use serde_json::json;

use super::step_up::check_removal;
use super::support::{PASSWORD, TestApp};

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
    check_removal(&app, &session, &path, &other).await;
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

#[tokio::test]
async fn a_device_is_renamed_by_its_owner_alone() {
    let app = TestApp::start().await;
    let (session, stranger) = (app.sign_in().await, app.sign_in().await);
    let path = format!("/api/auth/devices/{}", session.device.id);
    let body = json!({ "device_name": "Alice's tablet" });
    let _ = app.patch_as(&stranger, &path, &body).await.expect_error(404, "device_not_found");
    let renamed = app.patch_as(&session, &path, &body).await.expect(200);
    assert_eq!(renamed.json["device_name"], "Alice's tablet");
    assert_eq!((&renamed.json["trusted"], &renamed.json["current"]), (&json!(false), &json!(true)));
    // What is not given stays.
    let same = app.patch_as(&session, &path, &json!({})).await.expect(200);
    assert_eq!(same.json, renamed.json);
    let listed = app.get_as(&session, "/api/auth/devices").await.expect(200);
    assert_eq!(listed.json["items"][0], renamed.json);
    for bad in [json!({ "device_name": "x".repeat(101) }), json!({ "device_name": "a\u{0}" })] {
        let refused = app.patch_as(&session, &path, &bad).await;
        let refused = refused.expect_error(400, "invalid_request");
        assert_eq!(refused.json["details"]["field"], "device_name");
    }
    let bad = app.patch_as(&session, &path, &json!({ "trusted": "yes" })).await;
    assert_eq!(bad.expect_error(400, "invalid_request").json["details"]["field"], "trusted");
}

#[tokio::test]
async fn a_trusted_device_s_sessions_live_longer_as_long_as_it_is_trusted() {
    let app = TestApp::with(&[("USER_SERVICE__REFRESH__TRUSTED_LIFE", "60d")]).await;
    let session = app.sign_in().await;
    let path = format!("/api/auth/devices/{}", session.device.id);
    let trusted = app.patch_as(&session, &path, &json!({ "trusted": true })).await.expect(200);
    assert_eq!(trusted.json["trusted"], true);
    app.clock.turn(TimeDelta::days(31));
    let refreshed = app.refresh(&session.refresh_token).await.expect(200);
    app.clock.turn(TimeDelta::days(29));
    let late = app.refresh(&refreshed.member("refresh_token")).await;
    let _ = late.expect_error(401, "invalid_refresh_token");
    // Its next session does too.
    let next = app.log_in(&session.device, &session.username).await;
    app.clock.turn(TimeDelta::days(31));
    let mut next = super::support::Session {
        access_token: app.refresh(&next.refresh_token).await.expect(200).member("access_token"),
        ..next
    };
    assert!(app.is_live(&next).await);
    // Without the trust its life has been over for a day.
    let _ = app.patch_as(&next, &path, &json!({ "trusted": false })).await.expect(200);
    assert!(!app.is_live(&next).await);
    next = app.log_in(&session.device, &session.username).await;
    app.clock.turn(TimeDelta::days(30));
    let _ = app.refresh(&next.refresh_token).await.expect_error(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_device_is_trusted_only_by_who_proves_to_be_the_owner() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::minutes(11));
    let path = format!("/api/auth/devices/{}", session.device.id);
    let with = |password: Option<&str>| json!({ "trusted": true, "current_password": password });
    for password in [None, Some("wrong password")] {
        let refused = app.patch_as(&session, &path, &with(password)).await;
        let _ = refused.expect_error(401, "insufficient_user_authentication");
    }
    // A name or less trust needs no more than the token.
    let less = json!({ "device_name": "phone", "trusted": false });
    let _ = app.patch_as(&session, &path, &less).await.expect(200);
    let _ = app.patch_as(&session, &path, &with(Some(PASSWORD))).await.expect(200);
}
