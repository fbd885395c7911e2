//! The services, and the command line as scripts run it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::clock::Clock;
use common::settings::Environment;
use serde_json::Value;
use tempfile::TempDir;
use test_support::{TestDatabase, TestServer, eventually};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Both services, and a home of one's own.
pub(crate) struct World {
    pub(crate) users: TestServer,
    pub(crate) chat: TestServer,
    pub(crate) home: TempDir,
    _databases: [TestDatabase; 2],
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_settings(&[]).await
    }

    /// With settings of user-service's beside the usual ones.
    pub(crate) async fn with_settings(more: &[(&'static str, &str)]) -> Self {
        let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let issuer = "http://id.example";
        let usual = [
            ("USER_SERVICE__ENVIRONMENT", "development"),
            ("USER_SERVICE__PUBLIC_URL", issuer),
            ("USER_SERVICE__DATABASE__URL", user_database.url()),
            ("USER_SERVICE__SIGNING__POOL_SIZE", "2"),
        ];
        let environment: Environment = usual.iter().chain(more).copied().collect();
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
            reqwest::get(&ready).await.ok()?.status().is_success().then_some(())
        })
        .await;
        let home = tempfile::tempdir().unwrap();
        Self { users, chat, home, _databases: [user_database, chat_database] }
    }

    /// The same with an account that is logged in here.
    pub(crate) async fn with_alice() -> Self {
        let world = Self::new().await;
        world.must(&["register", "--username", "alice", "--password-stdin"], PASSWORD);
        world
    }

    /// The command with this world's services and home, and nothing else from the environment.
    pub(crate) fn latchkey(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("LATCHKEY_USER_SERVICE_URL", self.users.url(""))
            .env("LATCHKEY_CHAT_SERVICE_URL", self.chat.url(""))
            .current_dir(self.home.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Ended {
        finish(self.latchkey().args(arguments), input)
    }

    /// What a command that must succeed answers in JSON.
    pub(crate) fn must(&self, arguments: &[&str], input: &str) -> Value {
        let ended = finish(self.latchkey().args(arguments).arg("--json"), input);
        assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// What a command that must fail with `status` says in JSON.
    pub(crate) fn refused(&self, status: i32, arguments: &[&str], input: &str) -> Value {
        let ended = finish(self.latchkey().args(arguments).arg("--json"), input);
        assert_eq!(ended.status, status, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        serde_json::from_str(&ended.stderr).unwrap()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join(".config/latchkey/session.json")
    }

    /// What the file holds.
    pub(crate) fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }
}

pub(crate) fn finish(command: &mut Command, input: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
