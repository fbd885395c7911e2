//! What three real services log of callers who would write the log themselves.

use common::clock::Clock;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use test_support::{
    Answer, Browser, RawConnection, ServiceProcess, TestDatabase, TestDevice, eventually, program,
};

use super::client::{ISSUER, PASSWORD, post, post_as, sign_in, until_ready};
use super::processes::{serve_chat, serve_users};
use super::vault_story::{Vault, text};

/// Line ends of every kind, what terminals obey, what turns text round, and ends of JSON strings.
const FORGERIES: [&str; 8] = [
    "a\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
    "a\n{\"message\":\"forged\"}\n",
    "a\u{85}{\"message\":\"forged\"}",
    "a\u{2028}{\"message\":\"forged\"}",
    "\x1b[2K\x1b[1A\x1b[31mforged\0",
    "\u{202e}degrof\u{2066}",
    "\",\"message\":\"forged\",\"x\":\"",
    "\\\",\"message\":\"forged\"}\\",
];
const LAST: &str = "the-last-of-all";

/// Every place of a request's head that is the caller's to fill.
async fn ask_in_every_head(process: &ServiceProcess, path: &str, token: &str) {
    let address = process.url("").trim_start_matches("http://").parse().unwrap();
    for forgery in FORGERIES {
        let escaped =
            forgery.bytes().fold(String::new(), |so_far, byte| format!("{so_far}%{byte:02x}"));
        for (target, line) in [
            (path, format!("User-Agent: {forgery}")),
            (path, format!("X-Request-Id: {forgery}")),
            (path, format!("X-Forwarded-For: {forgery}")),
            (path, format!("Authorization: Bearer {token}{forgery}")),
            (path, format!("Cookie: a={forgery}")),
            (&format!("/{escaped}"), String::new()),
            (&format!("{path}?{escaped}=1&state={escaped}&error={escaped}"), String::new()),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
            let answer = RawConnection::open(address).await.ask(head.as_bytes()).await;
            assert!(answer.status < 500, "{head}: {answer:?}");
        }
    }
}

/// A family's death, the one event that names a caller's agent.
async fn replay(users: &str, token: &str, agent: &str) {
    let client = Client::builder().build().unwrap();
    let refresh = async |token: &str, agent: &[u8]| {
        let request = client.post(format!("{users}/api/auth/refresh")).header("user-agent", agent);
        let body = json!({ "refresh_token": token });
        Answer::read(request.json(&body).send().await.unwrap()).await
    };
    let next = refresh(token, b"app").await.expect(200).member("refresh_token");
    let _ = refresh(&next, b"app").await.expect(200);
    let _ = refresh(token, agent.as_bytes()).await.expect_error(401, "invalid_refresh_token");
}

/// All that was logged, once the last request is in it.
async fn log_of(process: &ServiceProcess) -> Vec<String> {
    let request = Client::builder().build().unwrap().get(process.url("/health"));
    let _ = request.header("x-request-id", LAST).send().await.unwrap();
    eventually("the last request is logged", async || {
        let log = process.log();
        log.iter().any(|line| line.contains(LAST)).then_some(log)
    })
    .await
}

/// That `line` is an event of ours.
fn check(line: &str) {
    let hidden =
        |character: char| character.is_control() || "\u{2028}\u{202e}\u{2066}".contains(character);
    assert!(!line.contains(hidden), "{line:?}");
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
    let message = event["message"].as_str().unwrap();
    assert!(message != "forged" && line.matches("\"message\":").count() == 1, "{line}");
    if let Some(id) = event["span"]["request_id"].as_str() {
        assert!(id.len() == 36 || id == LAST, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_forges_a_line_of_the_log_and_no_secret_is_in_one() {
    let databases = [
        TestDatabase::create("user", || user_service::MIGRATIONS).await,
        TestDatabase::create("chat", || chat_service::MIGRATIONS).await,
    ];
    let users = serve_users(&databases[0], 0).await;
    let chat = serve_chat(&databases[1], &users.url("")).await;
    let vault = Vault::start().await;
    let session = sign_in(&users.url(""), "alice").await;
    let (browser, user) = (Browser::new(), vault.realm.create_user().await);
    let url = browser.get(&vault.url("login")).await.expect(302).header("location").to_owned();
    let back = browser.sign_in(&url, &user).await;
    let signed_in = browser.get(&back).await.expect(200).json;
    let mut secrets = vec![
        PASSWORD.to_owned(),
        session.access_token.clone(),
        session.refresh_token.clone(),
        user.password,
        text(&signed_in, "access_token"),
    ];
    let code = back.split(['?', '&']).find_map(|pair| pair.strip_prefix("code="));
    secrets.push(code.unwrap().to_owned());

    ask_in_every_head(&users, "/api/auth/sessions", &session.access_token).await;
    ask_in_every_head(&chat, "/api/rooms", &session.access_token).await;
    for path in
        ["/api/auth/manager/sessions", "/api/auth/manager/login", "/api/auth/manager/callback"]
    {
        ask_in_every_head(&vault.process, path, &text(&signed_in, "access_token")).await;
    }
    for forgery in FORGERIES {
        let body = json!({
            "username": forgery, "password": PASSWORD, "display_name": forgery, "device_id": forgery,
            "timestamp": forgery, "nonce": forgery, "session_id": forgery, "device_signature": forgery,
            "refresh_token": format!("{}{forgery}", session.refresh_token),
        });
        for path in ["register", "login", "refresh", "logout"] {
            let answer = post(&users.url(&format!("/api/auth/{path}")), &body).await;
            assert!(answer.status.as_u16() < 500, "{}", answer.text);
        }
        let room = json!({ "name": forgery });
        let answer = post_as(&chat.url("/api/rooms/create"), &session.access_token, &room).await;
        assert!(answer.status.as_u16() < 500, "{}", answer.text);
        let path = "backchannel-logout";
        let request = Client::builder().build().unwrap().request(Method::POST, vault.url(path));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("logout_token={forgery}")).send().await.unwrap();
        assert_eq!(answer.status(), 400);
    }
    let agent = "\",\"message\":\"forged\u{202e}\u{2028}\u{85}";
    replay(&users.url(""), &session.refresh_token, agent).await;

    for process in [&users, &chat, &vault.process] {
        let log = log_of(process).await;
        for line in &log {
            check(line);
        }
        let log = log.join("\n");
        for secret in &secrets {
            assert!(!log.contains(secret.as_str()), "{}", process.url(""));
        }
    }
    let log = users.log();
    let replayed = log.iter().find(|line| line.contains("user_agent")).expect("it is told");
    assert!(replayed.contains("forged"), "the agent is named: {replayed}");
}

/// In the networks that are set aside for documentation.
const ADDRESSES: [&str; 2] = ["203.0.113.77", "2001:db8:1:2:3:4:5:6"];

/// Asks as somebody at `address`, whom a proxy that is trusted names.
async fn ask_from(address: &str, url: String, token: &str, body: &Value) -> Answer {
    let request = Client::builder().build().unwrap().post(url).bearer_auth(token).json(body);
    Answer::read(request.header("x-forwarded-for", address).send().await.unwrap()).await
}

/// A service behind a proxy that it trusts, as talkative as it can be.
async fn trusting(name: &str, database: &TestDatabase, more: &[(&str, &str)]) -> ServiceProcess {
    let variables = [
        ("__ENVIRONMENT", "development"),
        ("__HTTP__TRUSTED_PROXIES", "127.0.0.1/32"),
        ("__LOG__LEVEL", "debug"),
        ("__DATABASE__URL", database.url()),
    ];
    ServiceProcess::start(program(name).await, &[&variables[..], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_of_any_kind_and_no_telephone_number_stands_in_a_log_in_full() {
    let databases = [
        TestDatabase::create("user", || user_service::MIGRATIONS).await,
        TestDatabase::create("chat", || chat_service::MIGRATIONS).await,
    ];
    let light =
        [("__PUBLIC_URL", ISSUER), ("__PASSWORDS__MEMORY_KIB", "64"), ("__PASSWORDS__PASSES", "1")];
    let users = trusting("user-service", &databases[0], &light).await;
    let (issuer, vault) = (users.url(""), Vault::start().await);
    let verifier =
        [("__VERIFIER__USER_SERVICE_URL", issuer.as_str()), ("__VERIFIER__ISSUER", ISSUER)];
    let chat = trusting("chat-service", &databases[1], &verifier).await;
    until_ready(&[chat.url("")], "ready").await;
    let (browser, user) = (Browser::new(), vault.realm.create_user().await);
    let keycloak = format!("{}@latchkey.test", user.username);
    let url = browser.get(&vault.url("login")).await.expect(302).header("location").to_owned();
    let _ = browser.get(&browser.sign_in(&url, &user).await).await.expect(200);
    let email = "alice.liddell@example.org";
    for (index, address) in ADDRESSES.iter().enumerate() {
        let username = format!("alice-{index}");
        let offer = TestDevice::offer();
        let body = json!({ "public_key": offer.public_key });
        let ask = async |path: &str, token: &str, body: &Value| {
            ask_from(address, users.url(path), token, body).await
        };
        let made = ask("/api/auth/register-device", "", &body).await.expect(201);
        let device = TestDevice::agree(&offer, &made.json);
        let account = json!({
            "username": username, "password": PASSWORD, "email": email, "phone_number": "+44 20 7946 0012",
        });
        let _ = ask("/api/auth/register", "", &account).await.expect(201);
        let now = || Clock::default().now().timestamp_millis();
        let wrong = device.login(&username, "not this one", now());
        let _ = ask("/api/auth/login", "", &wrong).await.expect(401);
        let login = device.login(&username, PASSWORD, now());
        let session = ask("/api/auth/login", "", &login).await.expect(200);
        let room = json!({ "name": "a room" });
        let url = chat.url("/api/rooms/create");
        let _ = ask_from(address, url, &session.member("access_token"), &room).await.expect(201);
        let url = vault.url("sessions");
        let _ = ask_from(address, url, "no token", &json!({})).await;
        // A replay, which is told with the agent and the range of whoever it came from.
        let spent = json!({ "refresh_token": session.member("refresh_token") });
        let next = ask("/api/auth/refresh", "", &spent).await.expect(200).member("refresh_token");
        let next = json!({ "refresh_token": next });
        let _ = ask("/api/auth/refresh", "", &next).await.expect(200);
        let _ = ask("/api/auth/refresh", "", &spent).await.expect(401);
    }
    for process in [&users, &chat, &vault.process] {
        let log = log_of(process).await.join("\n");
        for personal in [ADDRESSES[0], ADDRESSES[1], email, keycloak.as_str(), "20 7946 0012"] {
            assert!(!log.contains(personal), "{personal}: {log}");
        }
    }
    let log = users.log();
    for (message, masked) in [
        (
            "registered",
            ["a***@example.org", "***12", "203.0.113.0/24", "2001:db8:1::/48"].as_slice(),
        ),
        ("login_failed", &["203.0.113.0/24", "2001:db8:1::/48"]),
        ("refresh_token_replayed", &["203.0.113.0/24", "2001:db8:1::/48"]),
    ] {
        let message = format!(r#""message":"{message}""#);
        let lines: Vec<_> = log.iter().filter(|line| line.contains(&message)).cloned().collect();
        for masked in masked {
            assert!(
                lines.iter().any(|line| line.contains(masked)),
                "{message} {masked}: {lines:?}"
            );
        }
    }
}
