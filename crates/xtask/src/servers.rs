//! What tests and measurements run against: a Keycloak and a PostgreSQL that are thrown away, or
//! those that the caller names.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::environment::Environment;
use crate::keycloak::Server;
use crate::postgres::{Binaries, Cluster, Durability, Owner, Source};
use crate::redis::Redis;
use crate::ui::say;

/// Where the throw-away PostgreSQL looks for a port.
const PORT: u16 = 54321;
/// Names the Keycloak.
const KEYCLOAK_URL: &str = "TEST_KEYCLOAK_URL";

/// A Keycloak, and the folder that goes with it.
pub(crate) struct Keycloak {
    /// None where the caller has one.
    server: Option<Server>,
    _folder: Folder,
}

impl Keycloak {
    /// One of our own, unless the caller has one.
    pub(crate) async fn start() -> Result<Self> {
        let folder = env::temp_dir().join(format!("latchkey-test-keycloak-{}", std::process::id()));
        let folder = Folder(folder);
        let mut server = None;
        if Environment::read()?.get(KEYCLOAK_URL).is_none() {
            std::fs::create_dir_all(&folder.0)?;
            server = Some(Server::start(&folder.0).await?);
        }
        Ok(Self { server, _folder: folder })
    }

    /// Tells `command` where it is.
    pub(crate) fn name_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.server {
            None => command,
            Some(server) => {
                command.env(KEYCLOAK_URL, server.url()).env("TEST_KEYCLOAK_HOME", server.home())
            }
        }
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.server {
            None => Ok(()),
            Some(server) => server.stop().await,
        }
    }
}

/// Does `work` with the URL of a PostgreSQL.
pub(crate) async fn with_postgres(
    durability: Durability,
    work: impl AsyncFnOnce(&str) -> Result<()>,
) -> Result<()> {
    let environment = Environment::read()?;
    if let Some(url) = environment.get("DATABASE_URL") {
        return work(url).await;
    }
    let owner = Owner::find()?;
    let binaries = Binaries::provide(Source::from_environment()?, &owner).await?;
    let folder = ThrownAway(env::temp_dir().join(format!("latchkey-test-{}", std::process::id())));
    let cluster = Cluster::start(&binaries, &owner, &folder.0, PORT, durability).await?;
    let result = work(&cluster.url()).await;
    cluster.stop().await?;
    result
}

/// A Redis, and the folder that goes with it.
pub(crate) struct ThrowAwayRedis {
    redis: Redis,
    _folder: Folder,
}

impl ThrowAwayRedis {
    pub(crate) async fn start() -> Result<Self> {
        let folder = env::temp_dir().join(format!("latchkey-test-redis-{}", std::process::id()));
        let folder = Folder(folder);
        let redis = Redis::start(&folder.0, 0, Durability::ThrownAway).await?;
        Ok(Self { redis, _folder: folder })
    }

    pub(crate) fn url(&self) -> String {
        self.redis.url()
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<()> {
        self.redis.stop().await
    }
}

/// Goes with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_dir_all::<&Path>(&self.0);
    }
}

/// The same of a PostgreSQL, which may still run there.
struct ThrownAway(PathBuf);

impl Drop for ThrownAway {
    fn drop(&mut self) {
        if let Err(error) = Cluster::remove(&self.0) {
            say(&format!("{error:#}"));
        }
    }
}
