use std::process::{Command, Output};

use common::clock::Clock;
use common::settings::Environment;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::Value;
use test_support::{TestDatabase, TestServer};
use user_service::audit::{Event, Kind, record_all};
use user_service::config::SCHEMA;
use user_service::{MIGRATIONS, app};
use uuid::Uuid;

pub(crate) const ALICE: Uuid = Uuid::from_u128(0xa11ce);
pub(crate) const BOB: Uuid = Uuid::from_u128(0xb0b);

/// What an environment for development has.
pub(crate) const CHAIN_KEYS: &str =
    "1:617564697420636861696e20646576656c6f706d656e74206b6579206f6e6c79";

pub(crate) struct Chain {
    database: TestDatabase,
}

impl Chain {
    /// Nothing yet.
    pub(crate) async fn empty() -> Self {
        Self { database: TestDatabase::create("user", || MIGRATIONS).await }
    }

    /// Six linked events, of Alice and Bob in turn.
    pub(crate) async fn linked() -> Self {
        let chain = Self::empty().await;
        chain.write(6).await;
        chain.link();
        chain
    }

    pub(crate) async fn connect(&self) -> AsyncPgConnection {
        self.database.connect().await
    }

    pub(crate) async fn write(&self, number: u128) {
        let events: Vec<Event> = (0..number)
            .map(|index| Event {
                user: Some(if index % 2 == 0 { ALICE } else { BOB }),
                session: Some(Uuid::from_u128(index)),
                address: Some(common::http::ClientAddress("192.0.2.7".parse().unwrap())),
                user_agent: Some("test/1".to_owned()),
                details: serde_json::json!({ "api": "bearer", "username": "somebody" }),
                ..Event::new(Kind::LoginSucceeded)
            })
            .collect();
        let mut connection = self.connect().await;
        connection
            .transaction(async |connection| record_all(connection, &events).await)
            .await
            .unwrap();
    }

    /// The service, which writes events itself.
    pub(crate) async fn serve(&self) -> TestServer {
        let environment = Environment::from_iter([
            ("USER_SERVICE__ENVIRONMENT", "development"),
            ("USER_SERVICE__DATABASE__URL", self.database.url()),
            ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
        ]);
        let settings = SCHEMA.load(&environment).unwrap();
        TestServer::start(move || app::build(settings, Clock::default())).await
    }

    /// Nothing is purged of what is as young as this; but it is linked.
    pub(crate) fn link(&self) {
        let output = self.run(&["retention"], &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.connect().await.batch_execute(statements).await.unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .arg("audit")
            .args(arguments)
            .env_clear()
            .env("USER_SERVICE__ENVIRONMENT", "development")
            .env("USER_SERVICE__DATABASE__URL", self.database.url())
            .envs(settings.iter().copied())
            .output()
            .unwrap()
    }

    pub(crate) fn told(&self, arguments: &[&str], settings: &[(&str, &str)]) -> String {
        let output = self.run(arguments, settings);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(arguments, &[])).unwrap()
    }

    /// What verification says is wrong.
    pub(crate) fn fault(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["verify"], arguments].concat(), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr).trim_end().to_owned()
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}
