//! `cargo xtask bench`.

use anyhow::{Result, bail};

use crate::build::Programs;
use crate::postgres::Durability;
use crate::servers::{Keycloak, with_postgres};
use crate::ui::Progress;
use crate::{StopSignal, cargo, needs, run};

const PROGRAMS: &[&str] = &["bench", "latchkey", "user-service", "chat-service", "auth-manager"];

/// Builds everything as it is shipped and measures it on a PostgreSQL and a Keycloak of its own.
pub async fn bench(arguments: &[String]) -> Result<()> {
    needs::check_for_bench().await?;
    let mut stop = StopSignal::listen()?;
    tokio::select! {
        result = measure(arguments) => result,
        () = stop.asked() => bail!("stopped by a signal"),
    }
}

async fn measure(arguments: &[String]) -> Result<()> {
    let progress = Progress::start("building for release (the first time takes some minutes)");
    Programs::build_for_release(PROGRAMS).await?;
    progress.done("built");
    let keycloak = Keycloak::start().await?;
    let result = with_postgres(Durability::Kept, async |url| {
        let mut command = cargo(&["run", "--quiet", "--release", "--package", "bench", "--"]);
        keycloak.name_to(&mut command);
        run(command.args(arguments).env("TEST_DATABASE_URL", url)).await
    });
    let result = result.await;
    keycloak.stop().await?;
    result
}
