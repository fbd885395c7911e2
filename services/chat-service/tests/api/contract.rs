//! What holds for every endpoint.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::settings::Environment;
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use test_support::{
    assert_protected, check_documentation, check_head, check_protection, declared_routes,
    eventually, not_one_bearer,
};
use uuid::Uuid;

use super::issuer::{User, public_key_file};
use super::support::{ORIGIN, TestApp, send};

#[tokio::test]
async fn every_handler_is_in_the_openapi_document_and_every_documented_route_exists() {
    let (app, user) = (TestApp::start().await, User::new());
    let document = app.get("/openapi.json").await.expect(200).json;
    assert!(document["components"]["securitySchemes"]["bearer"].is_object());
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert((method.clone(), path.clone()));
            let responses = operation["responses"].to_string();
            let body = operation["requestBody"].is_object();
            for (code, expected) in [
                ("`not_found`", true),
                ("`method_not_allowed`", true),
                ("`internal`", true),
                ("`payload_too_large`", body),
                ("`unsupported_media_type`", body),
            ] {
                assert_eq!(responses.contains(code), expected, "{method} {path}: {code}");
            }
            let concrete = path.replace("{room_id}", &Uuid::new_v4().to_string());
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = app.request(method, &concrete).bearer_auth(&user.token);
            let answer = send(request).await;
            assert!(answer.status != 405 && answer.json["code"] != "not_found", "{path}");
        }
    }
    let mut declared = declared_routes(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
    declared.extend(["/health", "/health/ready"].map(|path| ("get".to_owned(), path.to_owned())));
    assert_eq!(documented, declared);
}

#[tokio::test]
async fn chat_service_answers_head_wherever_it_answers_get() {
    check_head(&TestApp::start().await.server).await;
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/health").await.expect(200).json["status"], "healthy");
    eventually("ready", || async {
        (app.get("/health/ready").await.json["status"] == "ready").then_some(())
    })
    .await;
    let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(200);
    let names = ready.json["dependencies"].as_array().unwrap().iter();
    assert!(names.map(|one| one["name"].as_str().unwrap()).eq([
        "database",
        "keys",
        "cors_origins",
        "tasks"
    ]));
    let metrics = send(app.client.get(app.server.admin_url("/metrics"))).await.expect(200).text;
    for name in ["websocket_connections 0", r#"database_connections{state="open"}"#] {
        assert!(metrics.contains(&format!("chat_service_{name}")), "{name}");
    }
}

#[tokio::test]
async fn every_answer_of_chat_service_tells_browsers_what_they_must_not_do_with_it() {
    let (app, user) = (TestApp::start().await, User::new());
    check_protection(&app.server, &["/openapi.json"]).await;
    assert_protected(&app.get("/api/rooms").await.expect(401));
    let post = |body: String| app.request(Method::POST, "/api/rooms/create").body(body);
    for (body, status) in [("x".into(), 415), ("x".repeat(70_000), 413)] {
        let request = post(body).bearer_auth(&user.token);
        assert_protected(&send(request).await.expect(status));
    }
}

#[tokio::test]
async fn documentation_pages_are_whole_and_need_no_other_host() {
    check_documentation(&TestApp::start().await.server).await;
}

#[tokio::test]
async fn errors_name_their_operation_and_405_its_methods() {
    let (app, user) = (TestApp::start().await, User::new());
    let answer = app.messages(&user, Uuid::new_v4(), "").await.expect_error(404, "room_not_found");
    assert_eq!(answer.member("operation"), "list_messages");
    let answer = send(app.request(Method::GET, "/api/messages/send/x")).await;
    let _ = answer.expect_error(404, "not_found");
    let answer = send(app.request(Method::DELETE, "/api/rooms/create")).await;
    assert_eq!(answer.expect_error(405, "method_not_allowed").header("allow"), "POST");
}

#[tokio::test]
async fn only_the_named_origins_may_call() {
    let app = TestApp::start().await;
    for (origin, granted) in [(ORIGIN, ORIGIN), ("https://evil.example", "")] {
        let answer = send(app.request(Method::GET, "/api/rooms").header("origin", origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), granted);
    }
}

#[test]
fn production_needs_its_own_database_and_development_does_not() {
    let load = |pairs: &[(&str, &str)]| {
        let environment: Environment = pairs.iter().copied().collect();
        chat_service::config::SCHEMA.load::<chat_service::config::Settings>(&environment)
    };
    let settings = load(&[("CHAT_SERVICE__ENVIRONMENT", "development")]).unwrap();
    assert_eq!((settings.http.port, settings.admin.port), (8081, 9081));
    let error = load(&[]).unwrap_err().to_string();
    assert!(error.contains("CHAT_SERVICE__DATABASE__URL"), "{error}");
    let error = load(&[("CHAT_SERVICE__LIVE__SPEED", "9")]).unwrap_err().to_string();
    assert!(error.contains("CHAT_SERVICE__LIVE__SPEED"), "{error}");
}

#[tokio::test]
async fn every_endpoint_of_the_api_takes_exactly_one_bearer_token_and_nothing_like_it() {
    let app = TestApp::start().await;
    let (room, user, _) = app.room_of_two().await;
    let body =
        serde_json::json!({ "room_id": room, "user_id": user.id, "message": "a", "name": "a" });
    let document = app.get("/openapi.json").await.expect(200).json;
    let mut protected = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, _) in item.as_object().unwrap().iter().filter(|_| path.starts_with("/api/")) {
            protected += 1;
            let path = path.replace("{room_id}", &room.to_string());
            let method: Method = method.to_uppercase().parse().unwrap();
            for values in not_one_bearer(&user.token) {
                let mut request = app.request(method.clone(), &path).json(&body);
                for value in &values {
                    request = request.header("authorization", value);
                }
                let answer = send(request).await.expect(401);
                assert!(
                    answer.header("www-authenticate").starts_with("Bearer"),
                    "{path} {values:?}"
                );
            }
        }
    }
    assert!(protected > 7, "{protected}");
    assert_eq!(
        app.messages(&user, room, "").await.expect(200).json["messages"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn while_the_pool_is_exhausted_others_are_503_in_time_and_all_is_well_again() {
    let app = TestApp::with(&[
        ("VERIFIER__PUBLIC_KEY_FILES", &public_key_file()),
        ("DATABASE__MAX_CONNECTIONS", "1"),
        ("DATABASE__CONNECT_TIMEOUT", "1s"),
    ])
    .await;
    let (room, user, other) = app.room_of_two().await;
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM rooms FOR UPDATE").await.unwrap();
    let meanwhile = async {
        app.database.until_somebody_waits().await;
        let started = Instant::now();
        let answers =
            tokio::join!(app.messages(&other, room, ""), app.get_as(&other, "/api/rooms"));
        // The one with the connection waits for up to ten.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        for answer in [answers.0, answers.1] {
            let answer = answer.expect_error(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), "1");
        }
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (sent, ()) = tokio::join!(app.send(&user, room, "patience"), meanwhile);
    let _ = sent.expect(200);
    let messages = app.messages(&other, room, "").await.expect(200);
    assert_eq!(messages.json["messages"][0]["message"], "patience");
}
