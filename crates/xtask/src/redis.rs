//! Redis on loopback, without a password, as a child process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::postgres::Durability;
use crate::{needs, ports};

const PROGRAM: &str = "redis-server";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running Redis.
pub(crate) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// Starts one with its data in `folder`, on `port` or a free one. Kept data is an append-only
    /// file, written out each second.
    pub(crate) async fn start(folder: &Path, port: u16, durability: Durability) -> Result<Self> {
        needs::provide_redis().await?;
        let context = || format!("{} can't be made", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        Self::end_leftover(folder).await?;
        // Somebody may take a port between our look and Redis's; then it gets any other.
        for port in [port, 0] {
            let port = ports::free(port)?;
            let child = command(folder, port, durability).spawn();
            let mut redis = Self { child: child.context("redis-server can't be started")?, port };
            if redis.wait_until_ready().await? {
                return Ok(redis);
            }
        }
        bail!("Redis did not start; {} says why", log(folder).display())
    }

    /// Ends what an earlier run that was killed has left running in `folder`; waits for it.
    pub(crate) async fn end_leftover(folder: &Path) -> Result<()> {
        let Some(pid) = running(folder) else { return Ok(()) };
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let started = Instant::now();
        while running(folder).is_some() {
            if started.elapsed() > STOP_TIMEOUT {
                bail!("an earlier Redis (process {pid}) on {} does not stop", folder.display());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it; what is kept is written out first.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(pid.try_into()?), Signal::SIGTERM)?;
        }
        let ended = timeout(STOP_TIMEOUT, self.child.wait()).await;
        ended.context("Redis did not stop in time")?.map(drop).map_err(Into::into)
    }

    /// False where it ended.
    async fn wait_until_ready(&mut self) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if answers(self.port).await.is_ok_and(|answers| answers) {
                return Ok(true);
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("Redis was not ready in time")
    }
}

impl Drop for Redis {
    /// For the ways out that do not wait: the signal is sent, Redis ends by itself.
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| pid.try_into().ok()) {
            let _gone_already = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

fn command(folder: &Path, port: u16, durability: Durability) -> Command {
    let kept = if durability == Durability::Kept { "yes" } else { "no" };
    let mut command = Command::new(PROGRAM);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", kept, "--appendfsync", "everysec"])
        .arg("--dir")
        .arg(folder)
        .arg("--pidfile")
        .arg(pid_file(folder))
        .arg("--logfile")
        .arg(log(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Out of reach of the terminal's Ctrl-C, which is ours to pass on.
        .process_group(0);
    command
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("redis.pid")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("redis.log")
}

async fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"+PONG")
}

/// The process that its own file names, if it still is a Redis.
fn running(folder: &Path) -> Option<i32> {
    let pid = std::fs::read_to_string(pid_file(folder)).ok()?.trim().parse().ok()?;
    let alive = kill(Pid::from_raw(pid), None).is_ok();
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    (alive && (command.is_empty() || command.contains(PROGRAM))).then_some(pid)
}
