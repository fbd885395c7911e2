//! Services as they are shipped: processes of their own, on free ports.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use tokio::time::{Instant, sleep};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A pool of keys takes its time, as does hearing of a million revocations.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(3);
const SETTLE_LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A running service; it ends with this.
pub(crate) struct Service {
    child: Child,
    ports: [u16; 2],
    /// From its start to the first 200 of `/health/ready`.
    pub(crate) start_time: Duration,
}

impl Service {
    /// Two ports that are free now, for the API and the admin listener.
    pub(crate) fn ports() -> Result<[u16; 2]> {
        let (one, two) =
            (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
        Ok([one.local_addr()?.port(), two.local_addr()?.port()])
    }

    /// Starts `name`, built beside this program, and waits until it is ready.
    pub(crate) async fn start(
        name: &str,
        ports: [u16; 2],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let prefix = name.to_uppercase().replace('-', "_");
        let mut command = Command::new(program(name)?);
        command
            .env_clear()
            .env(format!("{prefix}__ENVIRONMENT"), "development")
            .env(format!("{prefix}__HTTP__PORT"), ports[0].to_string())
            .env(format!("{prefix}__ADMIN__PORT"), ports[1].to_string())
            .env(format!("{prefix}__LOG__LEVEL"), "warn")
            .envs(environment.iter().map(|(key, value)| (format!("{prefix}__{key}"), value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let mut service = Self { child, ports, start_time: Duration::ZERO };
        service.wait_until_ready(name, started).await?;
        service.start_time = started.elapsed();
        Ok(service)
    }

    async fn wait_until_ready(&mut self, name: &str, started: Instant) -> Result<()> {
        let (http, url) = (client()?, self.url("/health/ready"));
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended at its start ({status})");
            }
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("{name} was not ready in time")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// On the API's listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[0])
    }

    /// On the admin listener.
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[1])
    }

    /// The sum of a counter over those of its label sets that contain all of `labels`.
    pub(crate) async fn counter(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let text = reqwest::get(self.admin_url("/metrics")).await?.text().await?;
        let lines = text.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(name)
                && labels.iter().all(|label| line.contains(label))
        });
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until a metric has reached `value`.
    pub(crate) async fn wait_for(&self, name: &str, value: f64) -> Result<()> {
        let started = Instant::now();
        while self.counter(name, &[]).await? < value {
            if started.elapsed() > SETTLE_TIMEOUT {
                bail!("{name} has not come to {value} in time");
            }
            sleep(SETTLE_LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(pid) = self.child.id().try_into() {
            let _ended = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ended = self.child.wait();
    }
}

/// A program of this workspace, built together with this one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing; run `cargo xtask bench`", path.display());
    }
    Ok(path)
}

/// A client that keeps its connections.
pub(crate) fn client() -> Result<Client> {
    Ok(Client::builder().timeout(START_TIMEOUT).no_proxy().build()?)
}
