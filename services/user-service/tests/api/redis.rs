//! What Redis adds, and that nothing is lost with it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{TcpProxy, TestRedis, eventually};

use super::crashes::start;
use super::lying_redis::LyingRedis;
use super::support::{PASSWORD, TestApp, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const BY_ADDRESS: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_MINUTE", "3");
pub(crate) const PREFIX: (&str, &str) = ("USER_SERVICE__REDIS__PREFIX", "test:");
const URL: &str = "USER_SERVICE__REDIS__URL";
const ROWS: &str = "SELECT count(*) AS count FROM rate_limits";

/// A service that has this Redis and is told nothing else of it.
pub(crate) async fn app(url: &str, more: &[(&str, &str)]) -> TestApp {
    TestApp::with(&[&[ES256, PREFIX, (URL, url)], more].concat()).await
}

async fn mutex(app: &TestApp, outcome: &str) -> u64 {
    app.metric(&format!(r#"user_service_refresh_mutex_total{{outcome="{outcome}"}}"#)).await
}

#[tokio::test]
async fn limits_are_counted_in_redis_and_in_the_database_while_it_is_away() {
    let mut redis = TestRedis::start().await;
    let app = app(&redis.url(), &[BY_ADDRESS]).await;
    let device = app.register_device().await;
    let mut connection = app.database.connect().await;
    let attempts = async |expected: &[u16]| {
        for status in expected {
            let body = app.login_body(&device, "nobody-at-all");
            assert_eq!(app.post("/api/auth/login", &body).await.status.as_u16(), *status);
        }
    };
    attempts(&[401, 401, 401, 429]).await;
    assert_eq!(count(&mut connection, ROWS).await, 0);
    redis.kill().await;
    attempts(&[401, 401, 401, 429]).await;
    assert!(count(&mut connection, ROWS).await > 0);
    assert_eq!(app.metric("user_service_redis_up").await, 0);
    let fallbacks = r#"user_service_redis_fallbacks_total{what="limits"}"#;
    assert!(app.metric(fallbacks).await >= 4);
    eventually("Redis is known to be away", async || {
        let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(200);
        let dependencies = ready.json["dependencies"].as_array().unwrap();
        let degraded = |one: &Value| one["name"] == "redis" && one["status"] == "degraded";
        dependencies.iter().any(degraded).then_some(())
    })
    .await;
    redis.restart().await;
    eventually("Redis counts again", async || {
        app.clock.turn(TimeDelta::minutes(10));
        let _ = app.post("/api/auth/login", &app.login_body(&device, "nobody")).await;
        (redis.ask("DBSIZE").await != "0").then_some(())
    })
    .await;
    assert_eq!(app.metric("user_service_redis_up").await, 1);
}

#[tokio::test]
async fn who_has_a_redis_may_still_have_limits_counted_in_the_database() {
    let redis = TestRedis::start().await;
    let app = app(&redis.url(), &[("USER_SERVICE__LIMITS__STORE", "postgres")]).await;
    let device = app.register_device().await;
    let _ = app.post("/api/auth/login", &app.login_body(&device, "nobody-at-all")).await;
    assert!(count(&mut app.database.connect().await, ROWS).await > 0);
    assert_eq!(redis.ask("DBSIZE").await, "0");
}

#[tokio::test]
async fn a_redis_that_falls_silent_holds_nobody_up_and_a_new_connection_is_made() {
    let redis = TestRedis::start().await;
    let proxy = TcpProxy::start(&redis.url()).await;
    let app = app(&proxy.url(&redis.url()), &[]).await;
    let session = app.sign_in().await;
    proxy.freeze();
    let started = Instant::now();
    let _ = app.refresh(&session.refresh_token).await.expect(200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(mutex(&app, "away").await, 1);
    eventually("it is asked again", async || {
        let _ = app.refresh(&app.sign_in().await.refresh_token).await.expect(200);
        (mutex(&app, "held").await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_no_limit_has_counts_as_no_answer_of_redis() {
    // Of the limits that a login is under, of which one has a window of a minute, others an hour.
    let longest = [TimeDelta::minutes(8), TimeDelta::hours(8)];
    let [by_address, of_all] = longest.map(|longest| longest.num_microseconds().unwrap());
    let redis = LyingRedis::start().await;
    let app = app(&redis.url(), &[BY_ADDRESS]).await;
    let device = app.register_device().await;
    let mut connection = app.database.connect().await;
    let attempts = async |expected: &[u16]| {
        for status in expected {
            let body = app.login_body(&device, "nobody-at-all");
            assert_eq!(app.post("/api/auth/login", &body).await.status.as_u16(), *status);
        }
        app.clock.turn(TimeDelta::minutes(30));
    };
    // What a limit may have is believed, and the database is not asked.
    attempts(&[401, 401, 401, 401]).await;
    redis.say(by_address);
    attempts(&[429]).await;
    assert_eq!(count(&mut connection, ROWS).await, 0);
    let fallbacks = r#"user_service_redis_fallbacks_total{what="limits"}"#;
    assert_eq!(app.metric(fallbacks).await, 0);
    for lie in [of_all + 1, -1, i64::MAX, i64::MIN] {
        redis.say(lie);
        let before = app.metric(fallbacks).await;
        attempts(&[401, 401, 401, 429]).await;
        assert!(app.metric(fallbacks).await >= before + 4, "{lie}");
    }
    assert!(count(&mut connection, ROWS).await > 0);
    redis.say(0);
    attempts(&[401, 401, 401, 401]).await;
}

#[tokio::test]
async fn the_log_says_once_that_redis_answers_waits_that_no_limit_has() {
    let redis = LyingRedis::start().await;
    redis.say(-1);
    let app = app(&redis.url(), &[]).await;
    let url = redis.url();
    let more = [("__REDIS__URL", url.as_str())];
    let process = start(&app, "", &more).await;
    for name in ["alice", "bob", "carol"] {
        let body = json!({ "username": name, "password": PASSWORD });
        let request = app.client.post(process.url("/api/auth/register")).json(&body);
        assert_eq!(send(request).await.status, 201);
    }
    let warned = process.logged("redis_answers_impossible_waits").await;
    assert_eq!((&warned["level"], &warned["wait_ms"]), (&"WARN".into(), &0.into()));
    let log = process.log().concat();
    assert_eq!(log.matches("redis_answers_impossible_waits").count(), 1);
}
