//! Bodies, names and headers that no honest client sends.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use serde_json::{Value, json};
use test_support::{RawConnection, TestDevice, not_one_bearer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{FORM, PASSWORD, TestApp, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const OPEN: [&str; 5] = ["register", "register-device", "login", "refresh", "logout"];

/// Bidi controls, line breaks, what terminals obey, and what nobody sees.
const HIDDEN: &str = "\0\t\r\n\x1b\u{7f}\u{85}\u{ad}\u{200b}\u{200e}\u{202e}\u{2028}\u{2066}\u{2069}\u{feff}\u{e0041}";

#[tokio::test]
async fn names_that_hide_or_imitate_are_refused_and_everybody_s_own_are_not() {
    let app = TestApp::with(&[ES256]).await;
    let key = TestDevice::offer().public_key;
    let session = app.sign_in().await;
    let device = format!("/api/auth/devices/{}", session.device.id);
    for character in HIDDEN.chars() {
        let bad = format!("ali{character}ce");
        let user = json!({ "username": bad, "password": PASSWORD });
        let shown =
            json!({ "username": "mallory", "password": PASSWORD, "display_name": bad.clone() });
        let new_device = json!({ "public_key": key.clone(), "device_name": bad.clone() });
        for (field, answer) in [
            ("username", app.post("/api/auth/register", &user).await),
            ("display_name", app.post("/api/auth/register", &shown).await),
            ("device_name", app.post("/api/auth/register-device", &new_device).await),
            ("device_name", app.patch_as(&session, &device, &json!({ "device_name": bad })).await),
        ] {
            let answer = answer.expect_error(400, "invalid_request");
            assert_eq!(answer.json["details"]["field"], field, "{character:?}");
        }
    }
    // Cyrillic а beside Latin, Greek ο beside Latin.
    for imitation in ["\u{430}lice", "b\u{3bf}bby"] {
        let answer = app.register(imitation).await.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], "username");
    }
    for good in ["alice", "bob-b", "O'Neil", "Алиса", "田中さん", "שלומית", "user_1@example.com"]
    {
        let _ = app.register(good).await.expect(201);
    }
    for good in ["Alice's phone", "☎ дом", "❤\u{fe0f}\u{200d}🔥", "תל-אביב"] {
        let body = json!({ "device_name": good });
        let _ = app.patch_as(&session, &device, &body).await.expect(200);
    }
}

#[tokio::test]
async fn bodies_in_another_shape_than_declared_are_refused_on_every_open_endpoint() {
    let app = TestApp::with(&[ES256]).await;
    let json = "application/json";
    let nested = |unit: &str| format!(r#"{{"x":{}"#, unit.repeat(10_000));
    for (body, kinds, encoding, status, code) in [
        ("{}", &[json][..], "gzip", 415, "unsupported_media_type"),
        ("{}", &[json], "br, identity", 415, "unsupported_media_type"),
        ("{}", &[json, json], "identity", 415, "unsupported_media_type"),
        ("{}", &["text/plain"], "identity", 415, "unsupported_media_type"),
        ("{}", &["application/json; charset=utf-16"], "identity", 415, "unsupported_media_type"),
        ("{}", &[FORM], "identity", 415, "unsupported_media_type"),
        ("{}", &[], "identity", 415, "unsupported_media_type"),
        ("{\"x\":", &[json], "identity", 400, "invalid_request"),
        ("{\"x\":1}}", &[json], "identity", 400, "invalid_request"),
        ("{\"x\":\"\0\"}", &[json], "identity", 400, "invalid_request"),
        ("\u{feff}{}", &[json], "identity", 400, "invalid_request"),
        ("null", &[json], "identity", 400, "invalid_request"),
        (&nested("["), &[json], "identity", 400, "invalid_request"),
        (&nested("{\"x\":"), &[json], "identity", 400, "invalid_request"),
    ] {
        for endpoint in OPEN {
            let mut request = app
                .request(Method::POST, &format!("/api/auth/{endpoint}"))
                .header(CONTENT_ENCODING, encoding)
                .body(body.to_owned());
            for kind in kinds {
                request = request.header(CONTENT_TYPE, *kind);
            }
            let _ = send(request).await.expect_error(status, code);
        }
    }
    let _ = app.sign_in().await;
}

#[tokio::test]
async fn ten_megabytes_are_refused_in_words_before_they_are_read() {
    let app = TestApp::with(&[ES256]).await;
    let body = "x".repeat(10 << 20);
    let length = body.len();
    for endpoint in OPEN {
        for (framing, body) in [
            (format!("content-length: {length}"), body.clone()),
            ("transfer-encoding: chunked".into(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ] {
            let request = format!(
                "POST /api/auth/{endpoint} HTTP/1.1\r\nhost: a\r\n\
                 content-type: application/json\r\n{framing}\r\n\r\n{body}"
            );
            let mut connection = RawConnection::open(app.server.address()).await;
            let answer = connection.ask(request.as_bytes()).await;
            assert_eq!((answer.status, &answer.json["code"]), (413, &"payload_too_large".into()));
            connection.closed().await;
        }
    }
    let _ = app.sign_in().await;
}

#[tokio::test]
async fn a_member_that_comes_twice_is_named_wherever_it_is_known() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let login = app.login_body(&session.device, &session.username);
    for (endpoint, body, member) in [
        ("register", json!({ "username": "mallory", "password": PASSWORD }), "password"),
        ("login", login.clone(), "username"),
        ("login", login, "password"),
        ("refresh", json!({ "refresh_token": session.refresh_token }), "refresh_token"),
        ("logout", json!({ "refresh_token": session.refresh_token }), "refresh_token"),
    ] {
        let twice = format!("{{\"{member}\":{},{}", body[member], &body.to_string()[1..]);
        let request = app.request(Method::POST, &format!("/api/auth/{endpoint}"));
        let answer = send(request.header(CONTENT_TYPE, "application/json").body(twice)).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], member, "{endpoint}");
    }
    assert!(app.is_live(&session).await);
    let _ = app.refresh(&session.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_framed_badly_does_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let body = json!({ "refresh_token": session.refresh_token }).to_string();
    let length = body.len();
    for (framing, sent) in [
        (format!("content-length: {}", length + 1), body.clone()),
        (format!("content-length: {length}"), body[..length - 5].to_owned()),
        ("transfer-encoding: chunked".into(), format!("{length:x}\r\n{body}")),
        ("transfer-encoding: chunked".into(), format!("zz\r\n{body}\r\n0\r\n\r\n")),
        (format!("content-length: {length}\r\ncontent-length: 3"), body.clone()),
    ] {
        let mut stream = tokio::net::TcpStream::connect(app.server.address()).await.unwrap();
        let request = format!(
            "POST /api/auth/logout HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             {framing}\r\n\r\n{sent}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
    }
    assert!(app.is_live(&session).await);
}

#[tokio::test]
async fn protected_endpoints_take_exactly_one_bearer_token_and_nothing_like_it() {
    let app = TestApp::with(&[ES256]).await;
    let session = app.sign_in().await;
    let good = &session.access_token;
    let mut forms = not_one_bearer(good);
    forms.push(vec![format!("Bearer {}", session.refresh_token)]);
    let document = app.get("/openapi.json").await.expect(200).json;
    let mut protected = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !operation["security"].to_string().contains("bearer") {
                continue;
            }
            protected += 1;
            let path = path.replace("{session_id}", &session.id);
            let path = path.replace("{device_id}", &session.device.id);
            let method: Method = method.to_uppercase().parse().unwrap();
            for values in &forms {
                let mut request = app
                    .request(method.clone(), &format!("{path}?access_token={good}"))
                    .header(COOKIE, format!("access_token={good}"))
                    .json(&body_of(&session.refresh_token));
                for value in values {
                    request = request.header(AUTHORIZATION, value);
                }
                let answer = send(request).await.expect(401);
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
            }
        }
    }
    assert!(protected > 4, "{protected}");
    // Nothing of it ended the session, and the scheme's name is of any case.
    let lower = app.request(Method::GET, "/api/auth/sessions");
    let _ = send(lower.header(AUTHORIZATION, format!("bearer {good}"))).await.expect(200);
}

/// Whatever the endpoint asks for: the rest is left alone.
fn body_of(token: &str) -> Value {
    json!({
        "refresh_token": token, "current_password": PASSWORD,
        "new_password": "another password", "device_name": "tablet",
    })
}
