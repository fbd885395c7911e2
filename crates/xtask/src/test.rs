//! `cargo xtask test`.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::postgres::{Binaries, Cluster, Durability, Owner, Source};
use crate::ui::say;
use crate::{StopSignal, cargo, needs, run};

/// Where the tests' throw-away PostgreSQL looks for a port.
const PORT: u16 = 54321;

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
    step("formatting", &mut cargo(&["fmt", "--all", "--check"])).await?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("clippy", &mut cargo(&clippy)).await?;
    tests(arguments).await?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    step("documentation", doc.env("RUSTDOCFLAGS", "--deny warnings")).await?;
    say("formatting, clippy, tests and documentation passed");
    Ok(())
}

async fn tests(arguments: &[String]) -> Result<()> {
    let environment = Environment::read()?;
    if let Some(url) = environment.get("DATABASE_URL") {
        return cargo_test(arguments, url).await;
    }
    let owner = Owner::find()?;
    let binaries = Binaries::provide(Source::from_environment()?, &owner).await?;
    let folder = ThrownAway(env::temp_dir().join(format!("latchkey-test-{}", std::process::id())));
    let cluster =
        Cluster::start(&binaries, &owner, &folder.0, PORT, Durability::ThrownAway).await?;
    let url = cluster.url();
    let result = cargo_test(arguments, &url).await;
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

async fn cargo_test(arguments: &[String], url: &str) -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    step("tests", command.args(arguments).env("TEST_DATABASE_URL", url)).await
}

async fn step(name: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    say(&format!("{name} …"));
    run(command).await?;
    say(&format!("{name} passed ({:.0} s)", started.elapsed().as_secs_f64()));
    Ok(())
}
