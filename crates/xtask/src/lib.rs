//! Runs, shows and tests Latchkey. Compiled first on a new machine, so it needs nothing that is
//! not there: no OpenSSL, no services.

pub mod demo;
mod needs;
pub mod ports;
pub mod postgres;
mod service;
pub mod test;
pub mod ui;
pub mod up;

use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crates.ancestors().nth(2).map_or(crates.clone(), PathBuf::from)
}

/// `cargo` with `arguments`, in the workspace.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments).current_dir(workspace()).kill_on_drop(true);
    command
}

/// Runs a command to its end; one that fails is an error that says what was run.
async fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().await.with_context(|| format!("`{shown}` can't be started"))?;
    check(&shown, status)
}

fn check(shown: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

fn show(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Waits for Ctrl-C or SIGTERM.
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
