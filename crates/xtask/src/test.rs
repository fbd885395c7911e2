//! `cargo xtask test`.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::keycloak::Server;
use crate::postgres::{Binaries, Cluster, Durability, Owner, Source};
use crate::ui::say;
use crate::{StopSignal, cargo, needs, run};

/// Where the tests' throw-away PostgreSQL looks for a port.
const PORT: u16 = 54321;
/// Names the tests' Keycloak.
const KEYCLOAK_URL: &str = "TEST_KEYCLOAK_URL";

/// Formatting, clippy, tests on a PostgreSQL of their own, documentation.
pub async fn test(arguments: &[String]) -> Result<()> {
    needs::check_for_tests().await?;
    let mut stop = StopSignal::listen()?;
    tokio::select! {
        result = all_steps(arguments) => result,
        // Whatever was being done is dropped, and its processes with it.
        () = stop.asked() => bail!("stopped by a signal; nothing is known to pass"),
    }
}

async fn all_steps(arguments: &[String]) -> Result<()> {
    let folder = env::temp_dir().join(format!("latchkey-test-keycloak-{}", std::process::id()));
    let folder = Folder(folder);
    // Its start takes as long as clippy does.
    let (keycloak, ()) = tokio::try_join!(keycloak(&folder.0), static_checks())?;
    let result = tests(arguments, keycloak.as_ref()).await;
    if let Some(keycloak) = keycloak {
        keycloak.stop().await?;
    }
    result?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    step("documentation", doc.env("RUSTDOCFLAGS", "--deny warnings")).await?;
    say("formatting, clippy, tests and documentation passed");
    Ok(())
}

async fn static_checks() -> Result<()> {
    step("formatting", &mut cargo(&["fmt", "--all", "--check"])).await?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("clippy", &mut cargo(&clippy)).await
}

/// One of our own, unless the caller has one.
async fn keycloak(folder: &Path) -> Result<Option<Server>> {
    if Environment::read()?.get(KEYCLOAK_URL).is_some() {
        return Ok(None);
    }
    std::fs::create_dir_all(folder)?;
    Server::start(folder).await.map(Some)
}

/// Goes with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

async fn tests(arguments: &[String], keycloak: Option<&Server>) -> Result<()> {
    let environment = Environment::read()?;
    if let Some(url) = environment.get("DATABASE_URL") {
        return cargo_test(arguments, url, keycloak).await;
    }
    let owner = Owner::find()?;
    let binaries = Binaries::provide(Source::from_environment()?, &owner).await?;
    let folder = ThrownAway(env::temp_dir().join(format!("latchkey-test-{}", std::process::id())));
    let cluster =
        Cluster::start(&binaries, &owner, &folder.0, PORT, Durability::ThrownAway).await?;
    let url = cluster.url();
    let result = cargo_test(arguments, &url, keycloak).await;
    cluster.stop().await?;
    result
}

/// Goes with what is in it, however the tests end.
struct ThrownAway(PathBuf);

impl Drop for ThrownAway {
    fn drop(&mut self) {
        if let Err(error) = Cluster::remove(&self.0) {
            say(&format!("{error:#}"));
        }
    }
}

async fn cargo_test(arguments: &[String], url: &str, keycloak: Option<&Server>) -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    if let Some(keycloak) = keycloak {
        command.env(KEYCLOAK_URL, keycloak.url()).env("TEST_KEYCLOAK_HOME", keycloak.home());
    }
    step("tests", command.args(arguments).env("TEST_DATABASE_URL", url)).await
}

async fn step(name: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    say(&format!("{name} …"));
    run(command).await?;
    say(&format!("{name} passed ({:.0} s)", started.elapsed().as_secs_f64()));
    Ok(())
}
