//! A service as a child process: its lines prefixed, its readiness waited for, its end orderly.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::{ui, workspace};

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Service {
    name: &'static str,
    ready: Ready,
    child: Child,
}

/// Where a service says that it is ready.
pub(crate) struct Ready {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    pub(crate) port: u16,
    pub(crate) path: &'static str,
    /// How long it may take.
    pub(crate) within: Duration,
    /// What is said then.
    pub(crate) line: String,
}

impl Service {
    /// Starts a built service.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        port: u16,
        url: &str,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.envs(environment.iter().cloned()).current_dir(workspace());
        let line = format!("{name} is ready at {url} (see /docs)");
        let within = Duration::from_mins(1);
        let scheme = if url.starts_with("https:") { "https" } else { "http" };
        Self::spawn(name, command, Ready { scheme, port, path: "/health/ready", within, line })
    }

    /// Starts any other.
    pub(crate) fn spawn(name: &'static str, mut command: Command, ready: Ready) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is ours to pass on, once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} can't be started"))?;
        let width = 12;
        let prefix = if ui::is_terminal() {
            format!("\x1b[36m{name:width$} |\x1b[0m ")
        } else {
            format!("{name:width$} | ")
        };
        if let Some(output) = child.stdout.take() {
            tokio::spawn(relay(output, prefix.clone()));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(relay(output, prefix));
        }
        Ok(Self { name, ready, child })
    }

    /// Waits until it answers 200 there.
    pub(crate) async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < self.ready.within {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start ({status})", self.name);
            }
            if is_ready(self.ready.scheme, self.ready.port, self.ready.path).await {
                ui::say(&self.ready.line);
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("{} was not ready in time; its lines above say why", self.name)
    }

    /// Waits until it ends by itself, which is an error.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} ended ({status})", self.name),
            Err(error) => error.into(),
        }
    }

    /// SIGTERM, and time to drain.
    pub(crate) async fn stop(mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(pid.try_into()?), Signal::SIGTERM)?;
        }
        let ended = timeout(DRAIN_TIMEOUT, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} did not drain in time", self.name))??)
    }
}

/// Whatever it has started ends with it: scripts leave their programs behind.
impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| pid.try_into().ok()) {
            // Its group is its own; one that has ended meanwhile is no fault.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

async fn relay(output: impl AsyncRead + Unpin, prefix: String) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        ui::say(&format!("{prefix}{line}"));
    }
}

/// Whether whoever listens on a port of this machine answers 200. Over TLS its certificate is for
/// other names than the machine's, and it is our own child that is asked.
pub(crate) async fn is_ready(scheme: &str, port: u16, path: &str) -> bool {
    let client = Client::builder()
        .no_proxy()
        .timeout(ASK_TIMEOUT)
        .tls_danger_accept_invalid_certs(true)
        .build();
    let Ok(client) = client else { return false };
    let answer = client.get(format!("{scheme}://127.0.0.1:{port}{path}")).send().await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use test_support::{TestAuthority, TestServer, eventually};

    use super::*;

    #[tokio::test]
    async fn what_a_script_has_started_ends_with_the_service_that_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut command = Command::new("sh");
        command.arg("-c").arg(r#"sleep 1000 & echo $! > "$0"; wait"#).arg(&file);
        let (scheme, path, line) = ("http", "/", String::new());
        let ready = Ready { scheme, port: 0, path, within: Duration::ZERO, line };
        let service = Service::spawn("a script", command, ready).unwrap();
        let started = async || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
        let pid = Pid::from_raw(eventually("its program", started).await);
        assert!(kill(pid, None).is_ok());
        drop(service);
        // Whoever has to may not have buried it yet.
        let stat = format!("/proc/{pid}/stat");
        let is_dead = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
        let ended = async || (kill(pid, None).is_err() || is_dead()).then_some(());
        eventually("its end", ended).await;
    }

    #[tokio::test]
    async fn a_service_is_asked_over_tls_whatever_host_its_certificate_is_for() {
        let authority = TestAuthority::new();
        let service = async || Ok(TestServer::bare(|_| {}));
        let server = TestServer::start_tls(&authority.issue("id.example"), service).await;
        let port = server.address().port();
        assert!(is_ready("https", port, "/health/ready").await);
        assert!(!is_ready("https", port, "/nowhere").await);
        assert!(!is_ready("http", port, "/health/ready").await);
    }
}
