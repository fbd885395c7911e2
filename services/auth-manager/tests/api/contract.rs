//! What holds for every endpoint.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::Value;
use test_support::{
    Answer, Browser, assert_protected, check_documentation, check_examples, check_head,
    check_protection, declared_routes, eventually, not_one_bearer,
};
use uuid::Uuid;

use crate::support::{TestApp, text};

/// A browser that comes back from a provider and whoever is told of a logout have no token.
const OPEN: [&str; 4] = ["/login", "/callback", "/offline-token/callback", "/backchannel-logout"];

#[tokio::test]
async fn every_handler_is_in_the_openapi_document_and_every_documented_route_exists() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.expect(200).json;
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    check_examples(&document);
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert((method.clone(), path.clone()));
            check(path, operation);
            let concrete = path.replace("{id}", &Uuid::new_v4().to_string());
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = app.request(method, &concrete).send().await.unwrap();
            let answer = Answer::read(answer).await;
            assert!(answer.status != 405 && answer.json["code"] != "not_found", "{path}");
            if operation["security"].is_array() {
                let refused = answer.expect_error(401, "unauthorized");
                assert_eq!(refused.header("www-authenticate"), "Bearer", "{path}");
            }
        }
    }
    let mut declared = declared_routes(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
    declared.extend(["/health", "/health/ready"].map(|path| ("get".to_owned(), path.to_owned())));
    assert_eq!(documented, declared);
}

/// Its words, its errors, and whether it says that it needs a token.
fn check(path: &str, operation: &Value) {
    assert!(operation["summary"].is_string(), "{path}");
    let responses = operation["responses"].as_object().unwrap();
    assert!(operation["responses"].to_string().contains("`internal`"), "{path}");
    for (status, response) in responses {
        let json = &response["content"]["application/json"]["schema"];
        assert!(!json.is_null() || status == "302", "{path}: {status}");
    }
    for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
        assert!(parameter["description"].is_string(), "{path}: {parameter}");
    }
    let Some(own) = path.strip_prefix("/api/auth/manager") else { return };
    let open = OPEN.contains(&own);
    assert_eq!(operation["security"][0]["bearer"].is_array(), !open, "{path}");
    let said = |status: &str, code: &str| {
        responses.get(status).is_some_and(|response| text(response, "description").contains(code))
    };
    // Back-Channel Logout 1.0 has a code of its own for what is bad.
    assert_eq!(said("400", "`invalid_request`"), own == "/backchannel-logout", "{path}");
    assert!(said("502", "`provider_misconfigured`"), "{path}");
    assert!(said("503", "`provider_unavailable` or `database_unavailable`"), "{path}");
    assert!(open || said("401", "`unauthorized`") && said("401", "`token_not_active`"), "{path}");
}

#[tokio::test]
async fn auth_manager_answers_head_wherever_it_answers_get() {
    check_head(&TestApp::start().await.server).await;
}

#[tokio::test]
async fn every_answer_of_auth_manager_tells_browsers_what_they_must_not_do_with_it() {
    let app = TestApp::start().await;
    check_protection(&app.server, &["/openapi.json"]).await;
    let asked = "/api/auth/manager/login?provider=keycloak";
    assert_protected(&Browser::new().get(&app.server.url(asked)).await.expect(302));
    for (method, path, status) in [
        (Method::GET, "/callback", 400),
        (Method::GET, "/sessions", 401),
        (Method::POST, "/backchannel-logout", 415),
    ] {
        let request = app.request(method, &format!("/api/auth/manager{path}")).body("x");
        assert_protected(&Answer::read(request.send().await.unwrap()).await.expect(status));
    }
}

#[tokio::test]
async fn documentation_pages_are_whole_and_need_no_other_host() {
    check_documentation(&TestApp::start().await.server).await;
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/health").await.expect(200).json["status"], "healthy");
    eventually("ready", async || {
        (app.get("/health/ready").await.json["status"] == "ready").then_some(())
    })
    .await;
    let ready = app.get_admin("/ready").await.expect(200);
    let names = ready.json["dependencies"].as_array().unwrap().iter();
    let expected = ["database", "keyring", "callers", "cors_origins", "tasks"];
    assert!(names.map(|one| text(one, "name")).eq(expected));
    app.sign_in(&Browser::new()).await;
    let metrics = app.get_admin("/metrics").await.expect(200).text;
    for line in [
        r#"callbacks_total{kind="sign_in",outcome="ok"} 1"#,
        r#"provider_calls_total{endpoint="code_exchange",outcome="ok",provider="keycloak"} 1"#,
        r#"provider_breaker_open{provider="keycloak"} 0"#,
        "outbox_depth ",
    ] {
        assert!(metrics.contains(&format!("auth_manager_{line}")), "{line}");
    }
}

#[tokio::test]
async fn every_protected_endpoint_takes_exactly_one_bearer_token_and_nothing_like_it() {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    let document = app.get("/openapi.json").await.expect(200).json;
    let mut protected = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !operation["security"].is_array() {
                continue;
            }
            protected += 1;
            let path = path.replace("{id}", text(&signed_in, "session_id"));
            let method: Method = method.to_uppercase().parse().unwrap();
            for values in not_one_bearer(token) {
                let mut request = app.request(method.clone(), &path);
                for value in &values {
                    request = request.header("authorization", value);
                }
                let answer = Answer::read(request.send().await.unwrap()).await.expect(401);
                let challenge = answer.header("www-authenticate");
                assert!(challenge.starts_with("Bearer"), "{path} {values:?}");
            }
        }
    }
    assert!(protected > 7, "{protected}");
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
}

#[tokio::test]
async fn calls_to_the_provider_name_the_request_and_the_trace_that_cause_them() {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let draw = "/api/auth/manager/access-token?min_ttl=150&persistent_token_id=";
    let draw = format!("{draw}{}", text(&signed_in, "persistent_token_id"));
    // The token from the sign-in is too old for the draw by then.
    app.clock.turn(TimeDelta::seconds(200));
    // The check of the caller waits for its answer; the refresh has a task of its own.
    for (method, path, at) in [
        (Method::GET, "/api/auth/manager/validate-token", "/introspect"),
        (Method::POST, draw.as_str(), "/token"),
    ] {
        let trace = Uuid::new_v4().simple();
        let request = app.request(method, path).bearer_auth(text(&signed_in, "access_token"));
        let request = request.header("x-request-id", format!("request.{trace}"));
        let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        let _ = Answer::read(request.send().await.unwrap()).await.expect(200);
        let call = app.proxy.last(at).to_lowercase();
        assert!(call.contains(&format!("x-request-id: request.{trace}\r\n")), "{call}");
        assert!(call.contains(&format!("traceparent: 00-{trace}-")), "{call}");
        assert!(!call.contains("00f067aa0ba902b7"), "{call}");
    }
}
