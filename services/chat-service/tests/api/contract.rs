//! What holds for every endpoint.

use std::collections::BTreeSet;

use common::settings::Environment;
use reqwest::Method;
use test_support::{declared_routes, eventually};
use uuid::Uuid;

use super::issuer::User;
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
async fn health_readiness_and_metrics_are_served() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/health").await.expect(200).json["status"], "healthy");
    eventually("ready", || async {
        (app.get("/health/ready").await.json["status"] == "ready").then_some(())
    })
    .await;
    let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(200);
    let names = ready.json["dependencies"].as_array().unwrap().iter();
    assert!(names.map(|one| one["name"].as_str().unwrap()).eq(["database", "keys"]));
    let metrics = send(app.client.get(app.server.admin_url("/metrics"))).await.expect(200).text;
    for name in ["websocket_connections 0", r#"database_connections{state="open"}"#] {
        assert!(metrics.contains(&format!("chat_service_{name}")), "{name}");
    }
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
