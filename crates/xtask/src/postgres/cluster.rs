use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;

use super::{Binaries, Owner};
use crate::ports;

const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether data must survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As PostgreSQL does it by itself.
    Kept,
    /// Fast, for data that is thrown away.
    ThrownAway,
}

/// A running PostgreSQL; loopback only, without passwords.
pub struct Cluster {
    child: Child,
    port: u16,
}

impl Cluster {
    /// Makes the cluster in `folder` if there is none, and starts it on `port` or a free one.
    pub async fn start(
        binaries: &Binaries,
        owner: &Owner,
        folder: &Path,
        port: u16,
        durability: Durability,
    ) -> Result<Self> {
        let data = folder.join("data");
        owner.make_folder(folder)?;
        let leftover = folder.to_path_buf();
        tokio::task::spawn_blocking(move || Self::end_leftover(&leftover)).await??;
        if !data.exists() {
            initialise(binaries, owner, folder).await?;
        }
        let log = folder.join("postgres.log");
        // Somebody may take a port between our look and PostgreSQL's; then it gets any other.
        for port in [port, 0] {
            let port = ports::free(port)?;
            let child = spawn(binaries, owner, folder, port, durability, &log)?;
            let mut cluster = Self { child, port };
            if cluster.wait_until_ready(&data, &log).await? {
                return Ok(cluster);
            }
        }
        bail!("PostgreSQL got no port:\n{}", tail(&log))
    }

    /// Ends what an earlier run that was killed has left running in `folder`; waits for it.
    pub fn end_leftover(folder: &Path) -> Result<()> {
        let data = folder.join("data");
        let Some(pid) = running(&data) else { return Ok(()) };
        signal(pid, Signal::SIGINT)?;
        let started = Instant::now();
        while running(&data).is_some() {
            if started.elapsed() > STOP_TIMEOUT {
                bail!("an earlier PostgreSQL (process {pid}) on {} does not stop", data.display());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Throws the data in `folder` away, and first the server that may still run on it.
    pub fn remove(folder: &Path) -> Result<()> {
        Self::end_leftover(folder)?;
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("{} can't be removed", folder.display()))?;
        }
        Ok(())
    }

    /// The URL of its maintenance database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A fast shutdown; the data is kept.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            signal(pid, Signal::SIGINT)?;
        }
        let ended = timeout(STOP_TIMEOUT, self.child.wait()).await;
        ended.context("PostgreSQL did not stop in time")?.map(|_| ()).map_err(Into::into)
    }

    /// False where it ended because somebody else has the port.
    async fn wait_until_ready(&mut self, data: &Path, log: &Path) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                let log = tail(log);
                if log.contains("could not bind") {
                    return Ok(false);
                }
                bail!("PostgreSQL ended at its start ({status}):\n{log}");
            }
            if self.answers_for(data).await {
                return Ok(true);
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("PostgreSQL was not ready in time:\n{}", tail(log))
    }

    /// Whether the server on our port is the one on `data`.
    async fn answers_for(&self, data: &Path) -> bool {
        let Ok((client, connection)) = tokio_postgres::connect(&self.url(), NoTls).await else {
            return false;
        };
        tokio::spawn(connection);
        let row = client.query_one("SHOW data_directory", &[]).await;
        row.is_ok_and(|row| Path::new(row.get::<_, &str>(0)) == data)
    }
}

impl Drop for Cluster {
    /// For the ways out that do not wait: the signal is sent, PostgreSQL ends by itself.
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            let _ = signal(pid, Signal::SIGINT);
        }
    }
}

/// Makes the cluster beside its place and moves it there once complete, so that a run that is cut
/// off leaves nothing that the next one would take for a cluster.
async fn initialise(binaries: &Binaries, owner: &Owner, folder: &Path) -> Result<()> {
    let unfinished = folder.join("data.new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    let child = owner
        .command(&binaries.path("initdb"))
        .arg("--pgdata")
        .arg(&unfinished)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("initdb can't be started")?;
    let mut group = Group(child.id());
    let output = child.wait_with_output().await?;
    group.0 = None;
    if !output.status.success() {
        bail!("initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(&unfinished, folder.join("data")).context("the new cluster can't be moved")
}

/// Ends a command that leads a process group, and what it started, if we stop waiting for it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|pid| pid.try_into().ok()) {
            let _gone_already = killpg(Pid::from_raw(leader), Signal::SIGTERM);
        }
    }
}

fn spawn(
    binaries: &Binaries,
    owner: &Owner,
    folder: &Path,
    port: u16,
    durability: Durability,
    log: &Path,
) -> Result<Child> {
    let mut command = owner.command(&binaries.path("postgres"));
    command.arg("-D").arg(folder.join("data"));
    let port = format!("port={port}");
    // No socket file: a path may be longer than the kernel takes, or have a comma in it.
    let mut settings = vec![
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        &port,
        "max_connections=300",
    ];
    if durability == Durability::ThrownAway {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    let out = std::fs::File::create(log).with_context(|| format!("{}", log.display()))?;
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    command.spawn().context("postgres can't be started")
}

/// The process that its own file names, if it still is a PostgreSQL.
fn running(data: &Path) -> Option<u32> {
    let file: PathBuf = data.join("postmaster.pid");
    let pid: u32 = std::fs::read_to_string(file).ok()?.lines().next()?.parse().ok()?;
    let alive = kill(Pid::from_raw(pid.try_into().ok()?), None).is_ok();
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    (alive && (command.is_empty() || command.contains("postgres"))).then_some(pid)
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid.try_into()?), signal).map_err(Into::into)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
