use std::time::Instant;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::{PASSWORD, TestApp, claims, header};

#[tokio::test]
async fn a_login_answers_tokens_and_the_user() {
    let app = TestApp::start().await;
    let _ = app.register("alice").await.expect(201);
    let device = app.register_device().await;
    let body = app.login_body(&device, "alice");
    let answer = app.post("/api/auth/login", &body).await.expect(200);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_eq!(answer.json["expires_in"], 7200);
    assert_eq!(answer.json["user"]["username"], "alice");
    assert_eq!(answer.json["user"]["is_new_user"], true);
    assert!(answer.member("refresh_token").starts_with("lkr_"));
    assert_eq!(answer.header("cache-control"), "no-store");

    let token = answer.member("access_token");
    let (header, claims) = (header(&token), claims(&token));
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("RS256"), Some("at+jwt")));
    assert_eq!(claims["sub"], answer.json["user"]["user_id"]);
    assert_eq!(claims["user_id"], claims["sub"]);
    assert_eq!(claims["device_id"], device.id);
    assert_eq!(claims["sid"], answer.json["session_id"]);
    assert_ne!(claims["sid"], body["session_id"]);
    assert_eq!(claims["iss"], "http://127.0.0.1:8080");
    assert_eq!(claims["aud"], "latchkey");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7200);
    for whole in ["exp", "iat", "nbf", "auth_time"] {
        assert!(claims[whole].is_i64(), "{whole}");
    }

    let again = app.post("/api/auth/login", &app.login_body(&device, "ALICE")).await.expect(200);
    assert_eq!(again.json["user"]["is_new_user"], false);
}

#[tokio::test]
async fn any_wrong_part_is_one_and_the_same_answer_at_the_same_floor() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let (device, foreign) = (app.register_device().await, app.sign_in().await);
    let now = app.now().timestamp_millis();
    let with = |member: &str, value: Value| {
        let mut body = app.login_body(&device, &session.username);
        body[member] = value;
        body
    };
    let used = app.login_body(&session.device, &session.username);
    let _ = app.post("/api/auth/login", &used).await.expect(200);
    let cases = [
        ("unknown_user", device.login("nobody-here", PASSWORD, now)),
        ("wrong_password", device.login(&session.username, "wrong password", now)),
        ("wrong_password", device.login(&session.username, "short", now)),
        ("unknown_device", with("device_id", json!(uuid::Uuid::new_v4()))),
        ("unknown_device", with("device_id", json!("no uuid"))),
        ("bad_signature", with("device_signature", json!("00".repeat(32)))),
        ("bad_session_id", with("session_id", json!("00".repeat(32)))),
        ("bad_session_id", with("nonce", json!("another-nonce-of-length"))),
        ("bad_timestamp", with("timestamp", json!("yesterday"))),
        ("clock_skew", device.login(&session.username, PASSWORD, now - 400_000)),
        ("clock_skew", device.login(&session.username, PASSWORD, now + 400_000)),
        ("replayed_nonce", used),
        ("foreign_device", app.login_body(&foreign.device, &session.username)),
    ];
    let mut bodies = Vec::new();
    for (reason, body) in cases {
        let metric =
            format!(r#"user_service_login_attempts_total{{outcome="failure",reason="{reason}"}}"#);
        let before = app.metric(&metric).await;
        let started = Instant::now();
        let answer = app.post("/api/auth/login", &body).await;
        // The floor is a promise of the server's clock, not a race with ours.
        assert!(started.elapsed().as_millis() >= 100, "{reason}");
        let mut answer = answer.expect_error(401, "invalid_credentials");
        answer.json["request_id"] = Value::Null;
        bodies.push(answer.json);
        assert_eq!(app.metric(&metric).await, before + 1, "{reason}");
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_request_that_does_not_parse_names_the_field() {
    let app = TestApp::start().await;
    let device = app.register_device().await;
    for field in [
        "username",
        "password",
        "device_id",
        "timestamp",
        "nonce",
        "session_id",
        "device_signature",
    ] {
        let mut body = app.login_body(&device, "alice");
        body.as_object_mut().unwrap().remove(field);
        let answer = app.post("/api/auth/login", &body).await.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], field);
        body[field] = json!(1);
        let _ = app.post("/api/auth/login", &body).await.expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn of_two_logins_with_one_nonce_one_wins() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let body = app.login_body(&session.device, &session.username);
    let answers = join_all((0..6).map(|_| app.post("/api/auth/login", &body))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_nonce_is_burned_by_a_wrong_password_and_kept_by_a_full_queue() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let mut body = app.login_body(&session.device, &session.username);
    body["password"] = json!("wrong password");
    let _ = app.post("/api/auth/login", &body).await.expect(401);
    body["password"] = json!(PASSWORD);
    let _ = app.post("/api/auth/login", &body).await.expect(401);
}

#[tokio::test]
async fn a_full_queue_answers_503_at_once_and_the_login_can_be_repeated() {
    let app = TestApp::with(&[
        ("USER_SERVICE__PASSWORDS__WORKERS", "1"),
        ("USER_SERVICE__PASSWORDS__QUEUE", "2"),
        ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "65536"),
        ("USER_SERVICE__PASSWORDS__PASSES", "3"),
    ])
    .await;
    let session = app.sign_in().await;
    let bodies: Vec<Value> =
        (0..12).map(|_| app.login_body(&session.device, &session.username)).collect();
    let answers = join_all(bodies.iter().map(|body| app.post("/api/auth/login", body))).await;
    let busy: Vec<_> =
        answers.iter().zip(&bodies).filter(|(answer, _)| answer.status == 503).collect();
    assert!(!busy.is_empty(), "twelve at once must overfill a queue of three places");
    for (answer, body) in busy {
        assert_eq!(answer.json["code"], "busy");
        assert_eq!(answer.header("retry-after"), "1");
        let _ = app.post("/api/auth/login", body).await.expect(200);
    }
}

#[tokio::test]
async fn garbage_costs_no_hash_and_half_of_the_queue_is_for_devices_known_to_the_user() {
    let app = TestApp::with(&[
        ("USER_SERVICE__PASSWORDS__WORKERS", "1"),
        ("USER_SERVICE__PASSWORDS__QUEUE", "4"),
        ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "65536"),
        ("USER_SERVICE__PASSWORDS__PASSES", "4"),
    ])
    .await;
    let session = app.sign_in().await;
    let stranger = app.register_device().await;
    let garbage = |_| {
        let mut body = app.login_body(&stranger, &session.username);
        body["device_signature"] = json!("00".repeat(32));
        body
    };
    let garbage: Vec<Value> = (0..50).map(garbage).collect();
    let flood = join_all(garbage.iter().map(|body| app.post("/api/auth/login", body)));
    let own = app.login_body(&session.device, &session.username);
    let (flood, answer) = tokio::join!(flood, app.post("/api/auth/login", &own));
    let _ = answer.expect(200);
    assert!(flood.iter().all(|answer| answer.status == 401));

    // Strangers whose proofs hold fill their half and no more.
    let mut strangers = Vec::new();
    for _ in 0..12 {
        let device = app.register_device().await;
        strangers.push(app.login_body(&device, &session.username));
    }
    let flood = join_all(strangers.iter().map(|body| app.post("/api/auth/login", body)));
    let own = app.login_body(&session.device, &session.username);
    let known = async {
        let pending = "user_service_password_hashes_pending";
        test_support::eventually("strangers wait for their hashes", || async {
            (app.metric(pending).await >= 2).then_some(())
        })
        .await;
        app.post("/api/auth/login", &own).await
    };
    let (flood, answer) = tokio::join!(flood, known);
    let _ = answer.expect(200);
    assert!(flood.iter().any(|answer| answer.status == 503), "strangers were not held back");
}

#[tokio::test]
async fn slower_hashes_in_the_table_lift_the_floor_under_every_failure() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let failure = app.register_device().await.login("nobody-here", PASSWORD, 0);
    let floor = |server: &test_support::TestServer| {
        let request = app.client.post(server.url("/api/auth/login")).json(&failure);
        async move {
            let started = Instant::now();
            let _ = super::support::send(request).await.expect_error(401, "invalid_credentials");
            started.elapsed()
        }
    };
    let before = floor(&app.server).await;
    let slow = app
        .replica_with(&[
            ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "262144"),
            ("USER_SERVICE__PASSWORDS__PASSES", "4"),
        ])
        .await;
    let body = app.login_body(&session.device, &session.username);
    let request = app.client.post(slow.url("/api/auth/login")).json(&body);
    let _ = super::support::send(request).await.expect(200);
    test_support::eventually("the slow hash is stored", || async {
        use diesel_async::RunQueryDsl as _;
        let query = "UPDATE users SET updated_at = updated_at \
                     WHERE password_hash LIKE '%$m=262144,t=4,p=1$%'";
        let mut connection = app.database.connect().await;
        let slow = diesel::sql_query(query).execute(&mut connection).await.unwrap();
        (slow == 1).then_some(())
    })
    .await;
    // A replica with light settings reads what is stored as it starts; it costs no hash to fail.
    let light = app.replica().await;
    test_support::eventually("its floor is the slow hash's", || async {
        (floor(&light).await > before * 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn older_hashes_are_renewed_at_login() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let stored = || async {
        use diesel_async::RunQueryDsl as _;
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            password_hash: String,
        }
        let mut connection = app.database.connect().await;
        let row: Row = diesel::sql_query("SELECT password_hash FROM users")
            .get_result(&mut connection)
            .await
            .unwrap();
        row.password_hash
    };
    assert!(stored().await.contains("$m=64,t=1,p=1$"));
    let heavier = app.replica_with(&[("USER_SERVICE__PASSWORDS__MEMORY_KIB", "128")]).await;
    let body = app.login_body(&session.device, &session.username);
    let request = app.client.post(heavier.url("/api/auth/login")).json(&body);
    let _ = super::support::send(request).await.expect(200);
    test_support::eventually("the hash is renewed", || async {
        stored().await.contains("$m=128,t=1,p=1$").then_some(())
    })
    .await;
    app.log_in(&session.device, &session.username).await;
}

#[tokio::test]
async fn logins_are_limited_by_address() {
    let app = TestApp::with(&[("USER_SERVICE__LIMITS__LOGINS_PER_MINUTE", "2")]).await;
    let session = app.sign_in().await;
    app.log_in(&session.device, &session.username).await;
    let body = app.login_body(&session.device, &session.username);
    let _ = app.post("/api/auth/login", &body).await.expect_error(429, "rate_limited");
}

#[tokio::test]
async fn a_device_belongs_to_its_first_user() {
    let app = TestApp::start().await;
    let alice = app.sign_in().await;
    let _ = app.register("bob-b").await.expect(201);
    let body = app.login_body(&alice.device, "bob-b");
    let _ = app.post("/api/auth/login", &body).await.expect_error(401, "invalid_credentials");
    assert!(app.is_live(&alice).await);
}

#[tokio::test]
async fn a_new_login_ends_the_device_s_earlier_session() {
    let app = TestApp::start().await;
    let first = app.sign_in().await;
    let second = app.log_in(&first.device, &first.username).await;
    assert!(!app.is_live(&first).await);
    assert!(app.is_live(&second).await);
    let _ = app.refresh(&first.refresh_token).await.expect_error(401, "invalid_refresh_token");
    app.clock.turn(TimeDelta::hours(2));
    assert!(!app.is_live(&second).await, "an access token expires on the second");
}
