//! The main story against the real services and a real Keycloak: as `latchkey demo` plays it, and
//! as the README has it pasted line by line.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::service::HttpSettings;
use common::settings::Environment;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use test_support::{ProvidersFile, TestDatabase, TestDevice, TestRealm, TestServer, eventually};
use tokio::process::Command;

const PASSWORD: &str = "correct horse battery";

/// Both services, wired as a deployment would.
struct Deployment {
    users: TestServer,
    chat: TestServer,
    _databases: [TestDatabase; 2],
}

async fn deploy() -> Deployment {
    let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
    let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
    // The issuer's name need not be where it is reached.
    let issuer = "http://id.example";
    let environment = Environment::from_iter([
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", issuer),
        ("USER_SERVICE__DATABASE__URL", user_database.url()),
    ]);
    let settings = user_service::config::SCHEMA.load(&environment).unwrap();
    let users =
        TestServer::start(move || user_service::app::build(settings, Clock::default())).await;
    let url = users.url("");
    let environment = Environment::from_iter([
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE_URL", &url),
        ("CHAT_SERVICE__VERIFIER__ISSUER", issuer),
        ("CHAT_SERVICE__DATABASE__URL", chat_database.url()),
    ]);
    let settings = chat_service::config::SCHEMA.load(&environment).unwrap();
    let chat =
        TestServer::start(move || chat_service::app::build(settings, Clock::default())).await;
    let ready = chat.url("/health/ready");
    eventually("chat-service is ready", || async {
        let answer = reqwest::get(&ready).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    Deployment { users, chat, _databases: [user_database, chat_database] }
}

/// auth-manager, with a realm like that of `cargo xtask up`.
struct Vault {
    server: TestServer,
    _keeps: (TestRealm, ProvidersFile, TestDatabase),
}

async fn deploy_vault() -> Vault {
    let realm = TestRealm::create(&json!({})).await;
    let file = ProvidersFile::new().with_realm("keycloak", &realm, None, "");
    let database = TestDatabase::create("auth", || auth_manager::MIGRATIONS).await;
    // Browsers come back to its public URL, so the port must be known before it starts.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = HttpSettings { port: free.local_addr().unwrap().port(), ..TestServer::http() };
    drop(free);
    let (url, path) = (format!("http://127.0.0.1:{}", http.port), file.path());
    let environment = Environment::from_iter([
        ("AUTH_MANAGER__ENVIRONMENT", "development"),
        ("AUTH_MANAGER__PUBLIC_URL", &url),
        ("AUTH_MANAGER__DATABASE__URL", database.url()),
        ("AUTH_MANAGER__PROVIDERS__FILE", &path),
    ]);
    let settings = auth_manager::config::SCHEMA.load(&environment).unwrap();
    let build = move || auth_manager::app::build(settings, Clock::default());
    let server = TestServer::start_with(http, build).await;
    Vault { server, _keeps: (realm, file, database) }
}

/// What `latchkey demo` tells where it succeeds.
async fn play(deployment: &Deployment, auth_manager: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["demo", "--user-service", &deployment.users.url("")])
        .args(["--chat-service", &deployment.chat.url(""), "--auth-manager", auth_manager])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let failed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}{failed}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_the_story_to_its_end_as_often_as_one_likes() {
    let (deployment, vault) = (deploy().await, deploy_vault().await);
    for _ in 0..2 {
        let told = play(&deployment, &vault.server.url("")).await;
        for step in [
            "the chat refuses the old token",
            "(4401)",
            "alice consents",
            "draws an access token by its id",
            "and the job is refused",
        ] {
            assert!(told.contains(step), "`{step}` in {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_auth_manager_does_not_run_the_demo_leaves_its_part_out() {
    let told = play(&deploy().await, "http://127.0.0.1:1").await;
    assert!(told.contains("the vault is left out") && told.contains("ends well"), "{told}");
}

async fn post(url: String, body: &Value) -> Value {
    let request = Client::builder().build().unwrap().post(url).json(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.unwrap()
}

/// How long a revoked token is still taken.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_revocations_is_soon_a_refusal() {
    const TIMES: usize = 8;
    // The promise is 100 ms; a busy machine must not fail this.
    const LONGEST: Duration = Duration::from_secs(2);
    let Deployment { users, chat, _databases } = deploy().await;
    let offer = TestDevice::offer();
    let body = json!({ "public_key": offer.public_key });
    let answer = post(users.url("/api/auth/register-device"), &body).await;
    let device = TestDevice::agree(&offer, &answer);
    let body = json!({ "username": "alice", "password": PASSWORD });
    post(users.url("/api/auth/register"), &body).await;
    let client = Client::builder().build().unwrap();
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let now_ms = Clock::default().now().timestamp_millis();
        let login = device.login("alice", PASSWORD, now_ms);
        let session = post(users.url("/api/auth/login"), &login).await;
        let rooms = || {
            let token = session["access_token"].as_str().unwrap();
            client.get(chat.url("/api/rooms")).bearer_auth(token).send()
        };
        assert_eq!(rooms().await.unwrap().status(), StatusCode::OK);
        let body = json!({ "refresh_token": session["refresh_token"] });
        post(users.url("/api/auth/logout"), &body).await;
        let ended = Instant::now();
        eventually("refused", || async {
            (rooms().await.unwrap().status() == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
        took.push(ended.elapsed());
    }
    println!("from the answer of a logout to the first refusal: {took:?}");
    assert!(took.iter().all(|time| *time < LONGEST), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_services_the_demo_says_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["demo", "--user-service", "http://127.0.0.1:1"])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("cargo xtask up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_s_walk_works_line_by_line() {
    let deployment = deploy().await;
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("<!-- walk -->\n```sh\n").unwrap();
    let (walk, _) = rest.split_once("```\n<!-- end of walk -->").unwrap();
    // The same lines, but for where the services are and the command, which is built already; and
    // how soon the chat hears of the end decides no test.
    let refused = "until json $CHAT/api/messages/$ROOM --oauth2-bearer $ACCESS --include \
                   | grep -q '^HTTP/1.1 401'; do :; done";
    let walk = walk
        .replace("http://127.0.0.1:8080", &deployment.users.url(""))
        .replace("http://127.0.0.1:8081", &deployment.chat.url(""))
        .replace("cargo run --quiet --package latchkey --", env!("CARGO_BIN_EXE_latchkey"))
        .replace("sleep 0.1", refused);
    let output = Command::new("timeout").args(["60", "bash", "-c", &walk]).output().await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let failed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && failed.is_empty(), "{shown}{failed}");
    for expected in
        ["\"message\":\"Hello\"", "\"status\":\"message sent\"", "logged out", "HTTP/1.1 401"]
    {
        assert!(shown.contains(expected), "`{expected}` in {shown}");
    }
}
