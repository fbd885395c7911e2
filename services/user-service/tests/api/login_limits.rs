//! Limits on logins: by address, by username and by device, shared by all replicas.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestDevice, TestRedis, TestServer, eventually};

use super::support::{PASSWORD, TestApp, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const BY_NAME: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_USERNAME_PER_HOUR", "3");
const BY_ADDRESS: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_MINUTE", "3");
const BY_DEVICE: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_DEVICE_PER_HOUR", "3");
const IN_MEMORY: (&str, &str) = ("USER_SERVICE__LIMITS__STORE", "memory");
const IN_DATABASE: (&str, &str) = ("USER_SERVICE__LIMITS__STORE", "postgres");
const REDIS_URL: &str = "USER_SERVICE__REDIS__URL";

fn guess(app: &TestApp, device: &TestDevice, username: &str) -> Value {
    device.login(username, "a wrong password", app.now().timestamp_millis())
}

async fn log_in_at(app: &TestApp, server: &TestServer, body: &Value) -> Answer {
    send(app.client.post(server.url("/api/auth/login")).json(body)).await
}

fn wait(answer: &Answer) -> i64 {
    answer.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn who_fails_for_somebody_locks_the_name_and_not_the_devices_that_are_theirs() {
    let redis = TestRedis::start().await;
    let url = redis.url();
    for store in [&[IN_DATABASE][..], &[IN_MEMORY], &[(REDIS_URL, &url)]] {
        let app = TestApp::with(&[&[ES256, BY_NAME], store].concat()).await;
        let victim = app.sign_in().await;
        let attacker = app.register_device().await;
        // The victim's own first login counted too.
        for _ in 0..2 {
            let failed =
                app.post("/api/auth/login", &guess(&app, &attacker, &victim.username)).await;
            let _ = failed.expect_error(401, "invalid_credentials");
        }
        // Another spelling is the same name, another device no way around.
        for (device, name) in [
            (&attacker, victim.username.clone()),
            (&app.register_device().await, victim.username.to_uppercase()),
        ] {
            let limited = app.post("/api/auth/login", &guess(&app, device, &name)).await;
            let limited = limited.expect_error(429, "rate_limited");
            assert!((3000..=3600).contains(&wait(&limited)), "{}", wait(&limited));
        }
        let _ = app.log_in(&victim.device, &victim.username).await;
        let refused = r#"user_service_rate_limited_total{limit="username"}"#;
        assert_eq!(app.metric(refused).await, 2);
        // Nor is it told whether there is such a name.
        for expected in [401, 401, 401, 429] {
            let body = guess(&app, &attacker, "nobody-at-all");
            let _ = app.post("/api/auth/login", &body).await.expect(expected);
        }
        app.clock.turn(TimeDelta::minutes(61));
        let _ = app.log_in(&app.register_device().await, &victim.username).await;
    }
}

#[tokio::test]
async fn replicas_count_together_and_waits_grow() {
    let redis = TestRedis::start().await;
    let url = redis.url();
    for store in [&[IN_DATABASE][..], &[(REDIS_URL, &url)]] {
        waits_grow(&TestApp::with(&[&[ES256, BY_ADDRESS], store].concat()).await).await;
    }
}

async fn waits_grow(app: &TestApp) {
    let replica = app.replica().await;
    let device = app.register_device().await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        for number in 0..3 {
            let server = if number % 2 == 0 { &app.server } else { &replica };
            let _ = log_in_at(app, server, &guess(app, &device, "alice")).await.expect(401);
        }
        let limited = log_in_at(app, &replica, &guess(app, &device, "alice")).await;
        let limited = limited.expect_error(429, "rate_limited");
        let there = log_in_at(app, &app.server, &guess(app, &device, "alice")).await;
        let _ = there.expect_error(429, "rate_limited");
        waits.push(wait(&limited));
        app.clock.turn(TimeDelta::seconds(wait(&limited)));
    }
    for (wait, longest) in waits.iter().zip([60, 120, 240]) {
        assert!((longest / 2..=longest).contains(wait), "{waits:?}");
    }
}

#[tokio::test]
async fn a_device_s_count_is_touched_only_by_its_own_signature() {
    let app = TestApp::with(&[ES256, BY_DEVICE]).await;
    let session = app.sign_in().await;
    // Whoever knows the id alone, which every message shows.
    let stranger = app.register_device().await;
    for _ in 0..5 {
        let mut forged = app.login_body(&stranger, &session.username);
        forged["device_id"] = json!(session.device.id);
        let refused = app.post("/api/auth/login", &forged).await;
        let _ = refused.expect_error(401, "invalid_credentials");
    }
    for expected in [200, 200, 429] {
        let body = app.login_body(&session.device, &session.username);
        let _ = app.post("/api/auth/login", &body).await.expect(expected);
    }
}

#[tokio::test]
async fn forwarded_addresses_count_where_the_proxy_is_ours_and_ipv6_by_its_64() {
    let app = TestApp::with(&[ES256, BY_ADDRESS]).await;
    let device = app.register_device().await;
    let from = async |server: &TestServer, address: &str| {
        let request = app.client.request(Method::POST, server.url("/api/auth/login"));
        let request = request.header("x-forwarded-for", address);
        send(request.json(&guess(&app, &device, "alice"))).await.status.as_u16()
    };
    // Not a configured proxy: all are one, whatever they say.
    for (number, expected) in [401, 401, 401, 429].into_iter().enumerate() {
        assert_eq!(from(&app.server, &format!("192.0.2.{number}")).await, expected);
    }
    let behind = app.replica_behind_a_proxy().await;
    for expected in [401, 401, 401, 429] {
        assert_eq!(from(&behind, "192.0.2.1").await, expected);
    }
    assert_eq!(from(&behind, "192.0.2.2").await, 401);
    for (host, expected) in [("::1", 401), ("::2", 401), (":ffff::3", 401), ("::4", 429)] {
        assert_eq!(from(&behind, &format!("2001:db8:1:1{host}")).await, expected, "{host}");
    }
    assert_eq!(from(&behind, "2001:db8:1:2::1").await, 401);
}

#[tokio::test]
async fn no_spelling_of_a_name_an_address_or_a_path_is_a_way_around_a_limit() {
    let app = TestApp::with(&[ES256, BY_NAME]).await;
    let device = app.register_device().await;
    for name in ["Zoë", " zoe\u{308}\u{a0}", "ＺＯË"] {
        let failed = app.post("/api/auth/login", &guess(&app, &device, name)).await;
        let _ = failed.expect_error(401, "invalid_credentials");
    }
    let _ = app.post("/api/auth/login", &guess(&app, &device, "ZOË")).await.expect(429);
    let app = TestApp::with(&[ES256, BY_ADDRESS]).await;
    let (behind, device) = (app.replica_behind_a_proxy().await, app.register_device().await);
    let from = async |path: &str, address: &str| {
        let request = app.client.request(Method::POST, behind.url(path));
        let request = request.header("x-forwarded-for", address);
        send(request.json(&guess(&app, &device, "alice"))).await.status.as_u16()
    };
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:4711"] {
        assert_eq!(from("/api/auth/login", address).await, 401, "{address}");
    }
    for path in [
        "/api/auth/login",
        "/api/auth/login?again=1",
        "/api/auth/login/",
        "/api/auth//login",
        "//api/auth/login",
        "/api/auth/./login",
        "/api/auth/x/../login",
        "/api/auth/%6Cogin",
        "/api/auth/log%69n",
        "/api/auth%2Flogin",
        "/API/auth/login",
        "/api/auth/login;x=1",
        "/api/auth/login%20",
    ] {
        let status = from(path, "::ffff:c000:201").await;
        assert!(matches!(status, 400 | 404 | 405 | 429), "{path}: {status}");
    }
    assert_eq!(from("/api/auth/login", "192.0.2.2").await, 401);
}

#[tokio::test]
async fn what_limits_remember_goes_when_it_no_longer_matters() {
    let app = TestApp::with(&[ES256, IN_DATABASE]).await;
    let _ = app.sign_in().await;
    let mut connection = app.database.connect().await;
    let rows = "SELECT count(*) AS count FROM rate_limits";
    assert!(count(&mut connection, rows).await >= 4);
    app.clock.turn(TimeDelta::hours(6));
    let _replica = app.replica().await;
    eventually("they are gone", || async {
        let mut connection = app.database.connect().await;
        (count(&mut connection, rows).await == 0).then_some(())
    })
    .await;
    let body = json!({ "username": "bob", "password": PASSWORD });
    let _ = app.post("/api/auth/register", &body).await.expect(201);
}
