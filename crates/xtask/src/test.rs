//! `cargo xtask test`.

use std::time::Instant;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::postgres::Durability;
use crate::servers::{Keycloak, ThrowAwayRedis, with_postgres};
use crate::ui::say;
use crate::{StopSignal, cargo, coverage, needs, run};

/// Formatting, clippy, documentation, tests on a PostgreSQL of their own, the APIs' with Redis and
/// without; or the tests' reach.
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
        cargo_test("tests", arguments, url, &keycloak, redis.as_ref()).await?;
        if redis.is_none() && arguments.is_empty() {
            apis_with_redis(url, &keycloak).await?;
        }
        Ok(())
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

/// What Redis is there for, once more with it: all else was tested just as it is.
async fn apis_with_redis(url: &str, keycloak: &Keycloak) -> Result<()> {
    let redis = ThrowAwayRedis::start().await?;
    let apis = ["--test", "api"].map(str::to_owned);
    let result = cargo_test("APIs with Redis", &apis, url, keycloak, Some(&redis)).await;
    redis.stop().await?;
    result
}

async fn cargo_test(
    name: &str,
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
    step(name, command.args(arguments).env("TEST_DATABASE_URL", url)).await
}

async fn step(name: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    say(&format!("{name} …"));
    run(command).await?;
    say(&format!("{name} passed ({:.0} s)", started.elapsed().as_secs_f64()));
    Ok(())
}
