//! `cargo xtask demo`.

use anyhow::Result;

use crate::{cargo, needs, run};

/// Plays the story with `latchkey demo`, built where it is not yet.
pub async fn run_demo(arguments: &[String]) -> Result<()> {
    needs::check().await?;
    run(cargo(&["run", "--quiet", "--package", "latchkey", "--", "demo"]).args(arguments)).await
}
