//! Service keys rotated by an operator's command, two replicas of the issuer and two verifiers.

use std::process::{Command, Output};

use common::clock::Clock;
use common::settings::Environment;
use serde_json::Value;
use test_support::{Answer, TestDatabase, TestServer, eventually};

use super::client::{ISSUER, Session, post, sign_in, until_metric, until_ready, verdicts};
use super::replicas::serve_chat;

struct Deployment {
    users: [TestServer; 2],
    chats: Vec<TestServer>,
    database: TestDatabase,
    _chat_database: TestDatabase,
}

impl Deployment {
    async fn start() -> Self {
        let database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let users = [serve(&database).await, serve(&database).await];
        let mut chats = Vec::new();
        for issuer in &users {
            let url = issuer.url("");
            chats.push(serve_chat(&chat_database, &url, Clock::default(), &[]).await);
        }
        let deployment = Self { users, chats, database, _chat_database: chat_database };
        until_ready(&deployment.chat_urls(), "ready").await;
        deployment
    }

    fn chat_urls(&self) -> Vec<String> {
        self.chats.iter().map(|chat| chat.url("")).collect()
    }

    fn keys(&self, arguments: &[&str]) -> Output {
        keys(&self.database, arguments, &[])
    }

    /// Every verifier refuses, and has heard so many revocations from the feed as they were made:
    /// none of them waited until it was asked for.
    async fn until_refused(&self, token: &str, revocations: f64) {
        let chats = self.chat_urls();
        eventually("every verifier refuses", || async {
            (verdicts(&chats, token).await == [401; 2]).then_some(())
        })
        .await;
        let admins: Vec<String> = self.chats.iter().map(|chat| chat.admin_url("")).collect();
        let heard = "chat_service_revocation_delay_seconds_count";
        until_metric(&admins, heard, |count| count >= revocations).await;
    }
}

/// `latchkey keys` as an operator calls it.
fn keys(database: &TestDatabase, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.arg("keys").args(arguments).env_clear().envs(variables(database));
    command.envs(more.iter().copied()).output().unwrap()
}

fn list(database: &TestDatabase) -> Value {
    let listed = keys(database, &["list", "--json"], &[]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    serde_json::from_slice(&listed.stdout).unwrap()
}

fn variables(database: &TestDatabase) -> [(&'static str, &str); 4] {
    [
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__DATABASE__URL", database.url()),
        ("USER_SERVICE__SIGNING__MODE", "service"),
        ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
    ]
}

async fn serve(database: &TestDatabase) -> TestServer {
    let more = [
        ("USER_SERVICE__PUBLIC_URL", ISSUER),
        ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "64"),
        ("USER_SERVICE__PASSWORDS__PASSES", "1"),
    ];
    let environment: Environment = variables(database).iter().chain(&more).copied().collect();
    let settings = user_service::config::SCHEMA.load(&environment).unwrap();
    TestServer::start(move || user_service::app::build(settings, Clock::default())).await
}

async fn refreshed(users: &TestServer, session: &Session) -> String {
    let body = serde_json::json!({ "refresh_token": session.refresh_token });
    post(&users.url("/api/auth/refresh"), &body).await.expect(200).member("access_token")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_rotation_by_command_refuses_nobody_and_an_emergency_refuses_all_at_once() {
    let deployment = Deployment::start().await;
    let chats = deployment.chat_urls();
    let session = sign_in(&deployment.users[0].url(""), "alice").await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 2]);
    let before = list(&deployment.database);
    let states = |keys: &Value| {
        let keys = keys.as_array().unwrap().iter();
        keys.map(|key| key["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(&before), ["current", "next"]);

    let rotated = deployment.keys(&["rotate"]);
    let said = String::from_utf8(rotated.stdout).unwrap();
    assert!(rotated.status.success() && said.contains("retired  "), "{said}");
    let after = list(&deployment.database);
    assert_eq!(states(&after), ["current", "next", "retired"]);
    assert_eq!((&after[0]["kid"], &after[2]["kid"]), (&before[1]["kid"], &before[0]["kid"]));
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 2]);
    let newer = refreshed(&deployment.users[1], &session).await;
    assert_eq!(verdicts(&chats, &newer).await, [200; 2]);

    let rotated = deployment.keys(&["rotate", "--emergency"]);
    deployment.until_refused(&session.access_token, 2.0).await;
    let said = String::from_utf8(rotated.stdout).unwrap();
    assert_eq!(said.matches("revoked  ").count(), 2, "{said}");
    assert_eq!(states(&list(&deployment.database)), ["current", "next"]);
    // Whoever was signed in still is.
    let newest = eventually("a token of the new key", || async {
        let token = refreshed(&deployment.users[0], &session).await;
        (verdicts(&chats, &token).await == [200; 2]).then_some(token)
    })
    .await;
    assert_ne!(newest, newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_done_though_the_place_of_keys_can_t_be_opened_and_says_what_is_left() {
    let database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
    let until_whole = async || {
        eventually("the ring is whole", || async {
            let listed = list(&database);
            (listed.as_array().unwrap().len() == 2).then_some(listed)
        })
        .await
    };
    // Nobody makes the new key but the command.
    let users = serve(&database).await;
    let before = until_whole().await;
    drop(users);
    let away = [
        ("USER_SERVICE__SIGNING__SERVICE_KEYS", "pkcs11"),
        ("USER_SERVICE__SIGNING__PKCS11_MODULE", "/no/such/module.so"),
        ("USER_SERVICE__SIGNING__PKCS11_TOKEN", "token"),
        ("USER_SERVICE__SIGNING__PKCS11_PIN", "2468"),
    ];
    let rotated = keys(&database, &["rotate", "--emergency"], &away);
    let said = String::from_utf8(rotated.stdout).unwrap();
    let kid = |index: usize| before[index]["kid"].as_str().unwrap();
    let lines = [
        format!("current  {}", kid(1)),
        "next     not made yet: the services try again".to_owned(),
        format!("revoked  {}", kid(0)),
    ];
    assert!(rotated.status.success());
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
    let _users = serve(&database).await;
    let after = until_whole().await;
    assert_eq!(after[0]["kid"], kid(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_revoked_by_itself_is_refused_by_every_verifier_and_its_successor_is_not() {
    let deployment = Deployment::start().await;
    let chats = deployment.chat_urls();
    let session = sign_in(&deployment.users[0].url(""), "alice").await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 2]);
    let client = reqwest::Client::builder().build().unwrap();
    let revocation = client
        .post(deployment.users[0].url("/api/auth/revoke"))
        .basic_auth("chat-service", Some("development-feed-secret"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", session.access_token));
    let _ = Answer::read(revocation.send().await.unwrap()).await.expect(200);
    deployment.until_refused(&session.access_token, 1.0).await;
    let newer = refreshed(&deployment.users[1], &session).await;
    assert_eq!(verdicts(&chats, &newer).await, [200; 2]);
}

#[test]
fn keys_of_devices_and_of_files_are_not_rotated_by_the_command() {
    let run = |more: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(["keys", "rotate"])
            .env_clear()
            .env("USER_SERVICE__ENVIRONMENT", "development")
            .envs(more.iter().copied())
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&[("USER_SERVICE__SIGNING__PRIVATE_KEY_PATH", "/no/such.pem")]);
    assert!(said.starts_with("error: the ring is in files"), "{said}");
    let said = run(&[("USER_SERVICE__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none")]);
    assert!(said.contains("the database can't be reached"), "{said}");
}

#[tokio::test]
async fn where_devices_have_keys_of_their_own_the_list_is_empty_and_says_why() {
    let database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
    let listed = keys(&database, &["list"], &[("USER_SERVICE__SIGNING__MODE", "device")]);
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(listed.status.success() && listed.stdout.is_empty(), "{said}");
    assert!(said.starts_with("note: `signing.mode` is `device`"), "{said}");
}
