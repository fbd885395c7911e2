//! What holds for every endpoint.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use reqwest::{Method, header::CONTENT_TYPE};
use test_support::{
    Answer, RawConnection, assert_protected, check_documentation, check_head, check_protection,
    declared_routes,
};

use super::support::{FEED_CLIENT, TestApp, send};

#[tokio::test]
async fn every_route_is_in_the_openapi_document_and_every_documented_route_exists() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.expect(200).json;
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert((method.clone(), path.clone()));
            let responses = operation["responses"].to_string();
            assert!(responses.contains("`internal`"), "{method} {path}");
            let concrete = path.replace("{session_id}", "x").replace("{device_id}", "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = app.client.request(method, app.server.url(&concrete)).send();
            // The feed's stream has no end to be read.
            let answer = request.await.unwrap();
            assert_ne!(answer.status(), 405, "{path}");
            if answer.status() == 404 {
                let answer = Answer::read(answer).await;
                assert_ne!(answer.json["code"], "not_found", "{path}");
            }
        }
    }
    let mut declared = declared_routes(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
    declared.extend(["/health", "/health/ready"].map(|path| ("get".to_owned(), path.to_owned())));
    assert_eq!(documented, declared);
}

#[tokio::test]
async fn documentation_pages_are_whole_and_need_no_other_host() {
    check_documentation(&TestApp::start().await.server).await;
}

#[tokio::test]
async fn every_answer_of_user_service_tells_browsers_what_they_must_not_do_with_it() {
    let app = TestApp::start().await;
    let keys = ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"];
    check_protection(&app.server, &[&keys[..], &["/openapi.json"]].concat()).await;
    let session = app.sign_in().await;
    assert_protected(&app.get_as(&session, "/api/auth/sessions").await.expect(200));
    assert_protected(&app.get("/api/auth/sessions").await.expect(401));
    let post = |body: String| app.request(Method::POST, "/api/auth/refresh").body(body);
    for (body, status) in [("x".into(), 415), ("x".repeat(70_000), 413)] {
        assert_protected(&send(post(body)).await.expect(status));
    }
}

#[tokio::test]
async fn user_service_answers_head_wherever_it_answers_get() {
    let app = TestApp::start().await;
    check_head(&app.server).await;
    let metric = r#"user_service_http_requests_total{method="HEAD",route="/health",status="200"}"#;
    assert_eq!(app.metric(metric).await, 1);
    // The feed's stream, which has no end, is not begun: the connection is free again.
    let (client, secret) = FEED_CLIENT;
    let feed =
        app.request(Method::HEAD, "/.well-known/jwks/changes").basic_auth(client, Some(secret));
    let authorization = feed.build().unwrap().headers()["authorization"].clone();
    let ask = format!(
        "HEAD /.well-known/jwks/changes HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\r\n",
        authorization.to_str().unwrap()
    );
    let mut connection = RawConnection::open(app.server.address()).await;
    for _ in 0..2 {
        assert_eq!(connection.ask(ask.as_bytes()).await.status, 200);
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let app = TestApp::start().await;
    let health = app.get("/health").await.expect(200);
    assert_eq!(health.json["status"], "healthy");
    assert!(health.json["version"].is_string());
    test_support::eventually("ready", || async {
        (app.get("/health/ready").await.json["status"] == "ready").then_some(())
    })
    .await;
    let ready = send(app.client.get(app.server.admin_url("/ready"))).await.expect(200);
    let dependencies = ready.json["dependencies"].as_array().unwrap();
    let names: Vec<_> = dependencies.iter().map(|one| one["name"].as_str().unwrap()).collect();
    let expected = ["database", "keyring", "signing_keys", "sessions", "csrf_keys", "change_feed"];
    assert_eq!(
        names.into_iter().filter(|name| *name != "redis").collect::<Vec<_>>(),
        [&expected[..], &["cors_origins", "tasks"]].concat()
    );
    let _ = send(app.client.get(app.server.admin_url("/live"))).await.expect(200);
    let _ = app.get("/nowhere").await.expect(404);
    let metrics = send(app.client.get(app.server.admin_url("/metrics"))).await.expect(200).text;
    assert!(metrics.contains(
        r#"user_service_http_requests_total{method="GET",route="/health",status="200"} 1"#
    ));
    assert!(metrics.contains(r#"route="unmatched""#) && !metrics.contains("nowhere"));
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_well_formed() {
    let app = TestApp::start().await;
    let with = |id: &str| app.request(Method::GET, "/nowhere").header("x-request-id", id);
    let answer = send(with("abc-123_4.5")).await.expect_error(404, "not_found");
    assert_eq!(answer.header("x-request-id"), "abc-123_4.5");
    for bad in ["", "with space", "a\"b", &"x".repeat(65)] {
        let answer = send(with(bad)).await.expect_error(404, "not_found");
        assert_eq!(answer.header("x-request-id").len(), 36, "{bad}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused_in_words() {
    let app = TestApp::start().await;
    let post = |kind: &str, body: String| {
        app.request(Method::POST, "/api/auth/refresh").header(CONTENT_TYPE, kind).body(body)
    };
    let json = "application/json";
    let _ = send(post(json, "{".into())).await.expect_error(400, "invalid_request");
    let _ = send(post(json, "[]".into())).await.expect_error(400, "invalid_request");
    let _ = send(post(json, String::new())).await.expect_error(400, "invalid_request");
    let twice = r#"{"refresh_token":"a","refresh_token":"b"}"#.to_owned();
    let answer = send(post(json, twice)).await.expect_error(400, "invalid_request");
    assert_eq!(answer.json["details"]["field"], "refresh_token");
    let large = format!(r#"{{"refresh_token":"{}"}}"#, "x".repeat(70_000));
    let _ = send(post(json, large)).await.expect_error(413, "payload_too_large");
    let form = send(post("application/x-www-form-urlencoded", "a=b".into())).await;
    let _ = form.expect_error(415, "unsupported_media_type");
    let deep = "[".repeat(60_000);
    let _ = send(post(json, deep)).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let app = TestApp::start().await;
    let answer = app.get("/api/auth/login").await.expect_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    let answer = send(app.request(Method::PUT, "/api/auth/sessions")).await.expect(405);
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn a_bearer_that_is_missing_or_bad_is_told_apart_in_the_challenge_alone() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let none = app.get("/api/auth/sessions").await.expect_error(401, "unauthorized");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let cut = &session.access_token[..session.access_token.len() - 3];
    for bad in ["Bearer x", "Basic abc", "Bearer", "Bearer a b", &format!("Bearer {cut}")] {
        let request = app.request(Method::GET, "/api/auth/sessions").header("authorization", bad);
        let answer = send(request).await.expect_error(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#, "{bad}");
    }
}

#[tokio::test]
async fn browsers_may_call_from_configured_origins_alone() {
    let app = TestApp::with(&[("FRONTEND_ORIGINS", "https://app.example.com")]).await;
    let from = |method: Method, path: &str, origin: &str| {
        app.request(method, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let good = "https://app.example.com";
    let preflight = send(from(Method::OPTIONS, "/api/auth/login", good)).await.expect(204);
    assert_eq!(preflight.header("access-control-allow-origin"), good);
    assert_eq!(preflight.header("access-control-allow-credentials"), "true");
    let methods = preflight.header("access-control-allow-methods");
    assert!(methods.contains("HEAD") && methods.contains("DELETE"), "{methods}");
    let headers = preflight.header("access-control-allow-headers");
    assert!(headers.contains("x-csrf-token") && headers.contains("traceparent"), "{headers}");
    assert_eq!(preflight.header("vary"), "Origin");
    assert_protected(&preflight);
    let error = send(from(Method::GET, "/api/auth/sessions", good)).await.expect(401);
    assert_eq!(error.header("access-control-allow-origin"), good);
    assert_eq!(error.header("vary"), "Origin");
    for bad in ["https://evil.example", "https://app.example.com.evil.example", "null"] {
        let answer = send(from(Method::OPTIONS, "/api/auth/login", bad)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{bad}");
    }
    let keys = send(from(Method::GET, "/.well-known/jwks.json", "https://anyone.example")).await;
    assert_eq!(keys.header("access-control-allow-origin"), "*");
    assert_eq!(keys.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn while_the_pool_is_exhausted_others_are_503_in_time_and_all_is_well_afterwards() {
    let app = TestApp::with(&[
        ("USER_SERVICE__DATABASE__MAX_CONNECTIONS", "1"),
        ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "1s"),
    ])
    .await;
    let (session, other) = (app.sign_in().await, app.sign_in().await);
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM user_keysets FOR UPDATE").await.unwrap();
    let meanwhile = async {
        app.database.until_somebody_waits().await;
        let started = Instant::now();
        let answers = tokio::join!(
            app.get_as(&other, "/api/auth/sessions"),
            app.refresh(&other.refresh_token),
            app.get("/.well-known/jwks.json?kid=AAAAAAAAAAAAAAAAAAAAAA"),
        );
        // The one with the connection waits for up to ten.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        for answer in [answers.0, answers.1, answers.2] {
            let answer = answer.expect_error(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), "1");
        }
        let _ = app.get("/health").await.expect(200);
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (ended, ()) = tokio::join!(app.log_out(&session.refresh_token), meanwhile);
    let _ = ended.expect(200);
    assert!(app.is_live(&other).await && !app.is_live(&session).await);
    let _ = app.refresh(&other.refresh_token).await.expect(200);
}

#[tokio::test]
async fn without_its_database_the_service_lives_and_says_so() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let timeout = ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "200ms");
    // A port on which nothing listens.
    let lonely = app.replica_on("postgres://nobody@127.0.0.1:1/none", &[timeout]).await;
    let body = serde_json::json!({ "refresh_token": session.refresh_token });
    let answer = send(app.client.post(lonely.url("/api/auth/refresh")).json(&body)).await;
    let answer = answer.expect_error(503, "database_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let _ = send(app.client.get(lonely.url("/health"))).await.expect(200);
    test_support::eventually("the database was asked for", async || {
        let ready = send(app.client.get(lonely.admin_url("/ready"))).await.expect(503);
        (ready.json["dependencies"][0]["reason"] != "not asked yet").then_some(())
    })
    .await;
    let ready = send(app.client.get(lonely.url("/health/ready"))).await.expect(503);
    assert_eq!(ready.json["status"], "not_ready");
    let _ = app.refresh(&session.refresh_token).await.expect(200);
}
