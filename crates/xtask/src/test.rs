//! `cargo xtask test`.

use std::time::Instant;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::postgres::Durability;
use crate::servers::{Keycloak, ThrowAwayRedis, with_postgres};
use crate::ui::say;
use crate::{StopSignal, cargo, coverage, needs, run};

/// Formatting, clippy, documentation, tests on a PostgreSQL of their own; or the tests' reach.
pub async fn test(coverage: bool, redis: bool, arguments: &[String]) -> Result<()> {
    needs::check_for_tests().await?;
    let mut stop = StopSignal::listen()?;
    let steps = async {
        if coverage {
            coverage::measure(arguments).await
        } else {
            all_steps(redis, arguments).await
        }
    };
    tokio::select! {
        result = steps => result,
        // Whatever was being done is dropped, and its processes with it.
        () = stop.asked() => bail!("stopped by a signal; nothing is known to pass"),
    }
}

async fn all_steps(redis: bool, arguments: &[String]) -> Result<()> {
    // Its start takes as long as clippy does.
    let (keycloak, ()) = tokio::try_join!(Keycloak::start(), static_checks())?;
    let redis = if redis { Some(ThrowAwayRedis::start().await?) } else { None };
    let result = with_postgres(Durability::ThrownAway, async |url| {
        cargo_test(arguments, url, &keycloak, redis.as_ref()).await
    });
    let result = result.await;
    keycloak.stop().await?;
    if let Some(redis) = redis {
        redis.stop().await?;
    }
    result?;
    say("formatting, clippy, documentation and tests passed");
    Ok(())
}

async fn static_checks() -> Result<()> {
    step("formatting", &mut cargo(&["fmt", "--all", "--check"])).await?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("clippy", &mut cargo(&clippy)).await?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    step("documentation", doc.env("RUSTDOCFLAGS", "--deny warnings")).await
}

async fn cargo_test(
    arguments: &[String],
    url: &str,
    keycloak: &Keycloak,
    redis: Option<&ThrowAwayRedis>,
) -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    keycloak.name_to(&mut command);
    if let Some(redis) = redis {
        command.env("TEST_REDIS_URL", redis.url());
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
