//! Runs, shows and tests Latchkey. Compiled first on a new machine, so it needs nothing that is
//! not there: no OpenSSL, no services.

pub mod bench;
mod build;
mod coverage;
pub mod demo;
pub mod environment;
mod folders;
mod keycloak;
mod needs;
pub mod ports;
pub mod postgres;
mod redis;
mod servers;
mod service;
pub mod test;
pub mod ui;
pub mod up;

use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// Ctrl-C and SIGTERM, from its making on: none that comes between two waits is lost.
struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// Waits for either.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
