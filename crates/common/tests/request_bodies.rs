//! Bodies that don't end, on a real connection.

use std::time::Duration;

use actix_web::{HttpResponse, post};
use common::http::Body;
use common::service::HttpSettings;
use common::settings::Period;
use serde_json::Value;
use test_support::{RawConnection, TestServer};

#[utoipa::path(request_body = Value, responses((status = 200, description = "It came")))]
#[post("/echo")]
async fn echo(Body(body): Body<Value>) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

async fn start(body_timeout: Duration) -> TestServer {
    let http = HttpSettings { body_timeout: Period(body_timeout), ..TestServer::http() };
    let blueprint = async || {
        Ok(TestServer::bare(|config| {
            config.service(echo);
        }))
    };
    TestServer::start_with(http, blueprint).await
}

fn post(path: &str, framing: &str, body: &str) -> Vec<u8> {
    let kind = "Content-Type: application/json";
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{kind}\r\n{framing}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up_and_its_connection_closed() {
    let server = start(Duration::from_millis(50)).await;
    for (framing, begun) in [
        ("Content-Length: 9", "{\"a\""),
        ("Transfer-Encoding: chunked", "9\r\n{\"a\""),
        ("Transfer-Encoding: chunked", "4\r\n{\"a\"\r\n"),
    ] {
        let mut connection = RawConnection::open(server.address()).await;
        let answer = connection.ask(&post("/echo", framing, begun)).await;
        assert_eq!((answer.status, &answer.json["code"]), (408, &"request_timeout".into()));
        assert_eq!(answer.json["operation"], "echo", "{framing}");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
        connection.closed().await;
    }
}

#[tokio::test]
async fn what_is_refused_is_not_read_on_for_ever() {
    let server = start(Duration::from_secs(20)).await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for (path, status) in [("/echo", 413), ("/nowhere", 404)] {
        for framing in ["Transfer-Encoding: chunked", "Content-Length: 99999999999"] {
            let mut connection = RawConnection::open(server.address()).await;
            let begun = post(path, framing, &chunk.repeat(8));
            let answer = connection.ask(&begun).await;
            assert_eq!(answer.status, status, "{framing}: {answer:?}");
            assert!(answer.head.contains("connection: close"), "{}", answer.head);
            connection.closed_though_sent(chunk.as_bytes(), Duration::ZERO).await;
        }
    }
}

#[tokio::test]
async fn the_connection_of_a_whole_body_is_used_again() {
    let server = start(Duration::from_secs(20)).await;
    let mut connection = RawConnection::open(server.address()).await;
    for (framing, body, status) in [
        ("Content-Length: 2", "[]", 200),
        ("Transfer-Encoding: chunked", "2\r\n[]\r\n0\r\n\r\n", 200),
        ("Transfer-Encoding: chunked", "2\r\n[x\r\n0\r\n\r\n", 400),
        ("Content-Length: 2", "[]", 200),
    ] {
        let answer = connection.ask(&post("/echo", framing, body)).await;
        assert_eq!(answer.status, status, "{framing}: {answer:?}");
    }
}
