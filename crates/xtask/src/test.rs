//! `cargo xtask test`.

use std::env;
use std::time::Instant;

use anyhow::Result;
use tokio::process::Command;

use crate::postgres::{Binaries, Cluster, Durability, Owner, Source};
use crate::ui::say;
use crate::{asked_to_stop, cargo, needs, run};

/// Where the tests' throw-away PostgreSQL looks for a port.
const PORT: u16 = 54321;

/// Formatting, clippy, tests on a PostgreSQL of their own, documentation.
pub async fn test(arguments: &[String]) -> Result<()> {
    needs::check_for_tests().await?;
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
    if let Ok(url) = env::var("DATABASE_URL") {
        return cargo_test(arguments, &url).await;
    }
    let owner = Owner::find()?;
    let folder = env::temp_dir().join(format!("latchkey-test-{}", std::process::id()));
    let binaries = Binaries::provide(Source::from_environment()?, &owner).await?;
    let started = Cluster::start(&binaries, &owner, &folder, PORT, Durability::ThrownAway).await;
    let result = match started {
        Ok(cluster) => {
            let url = cluster.url();
            let result = tokio::select! {
                result = cargo_test(arguments, &url) => result,
                signal = asked_to_stop() => signal.map_err(Into::into),
            };
            cluster.stop().await?;
            result
        }
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&folder)?;
    result
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
