use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{Machine, Provided};
use crate::service::is_ready;
use crate::{ports, workspace};

/// A first start takes a minute on a small machine, more while it compiles something else.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_mins(5);
/// Where the management port says that it is ready.
pub(crate) const READY_PATH: &str = "/health/ready";
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PROVIDERS: &str = "deploy/providers.toml";
/// As `deploy/providers.toml` has it.
const USUAL_BASE: &str = "http://localhost:8180/";

/// How it is started.
pub(crate) struct Startup {
    pub(crate) provided: Provided,
    pub(crate) port: u16,
    pub(crate) management_port: u16,
}

/// The providers' file for a Keycloak on `port`; none where the usual one is right.
pub(crate) fn providers_file(folder: &Path, port: u16) -> Result<Option<PathBuf>> {
    let usual = std::fs::read_to_string(workspace().join(PROVIDERS))?;
    let text = usual.replace(USUAL_BASE, &format!("http://localhost:{port}/"));
    if text == usual {
        return Ok(None);
    }
    let path = folder.join("providers.toml");
    std::fs::write(&path, text)?;
    Ok(Some(path))
}

impl Startup {
    /// The script becomes Java, so that the process is Keycloak itself. Loopback only: the
    /// administrator's password is known to everybody.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.provided.home.join("bin/kc.sh"));
        command
            .args(["start-dev", "--import-realm", "--db=dev-file", "--health-enabled=true"])
            .args(["--http-host=127.0.0.1", "--log-level=warn,org.keycloak.exportimport:info"])
            .arg(format!("--http-port={}", self.port))
            .arg(format!("--http-management-port={}", self.management_port))
            .arg(format!("--hostname={}", self.url()))
            .env("JAVA", &self.provided.java.0)
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
}

/// A throw-away one, for tests; ended when it is dropped.
pub(crate) struct Server {
    startup: Startup,
    child: Child,
}

impl Server {
    /// Starts it in `folder` on free ports and waits until it is ready.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let provided = Provided::new(&Machine::this()?, folder, ports::AUTH.default).await?;
        let (port, management_port) = (ports::free(0)?, ports::free(0)?);
        let startup = Startup { provided, port, management_port };
        let log = folder.join("keycloak.log");
        let out = File::create(&log)?;
        let mut command = startup.command();
        command.stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().context("Keycloak can't be started")?;
        let mut server = Self { startup, child };
        server.wait_until_ready(&log).await?;
        Ok(server)
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        self.startup.url()
    }

    /// The unpacked distribution.
    pub(crate) fn home(&self) -> &Path {
        &self.startup.provided.home
    }

    /// Ends it; what it kept goes with its folder.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("Keycloak can't be ended")
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("Keycloak ended at its start ({status}):\n{said}");
            }
            if is_ready("http", self.startup.management_port, READY_PATH).await {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("Keycloak was not ready in time")
    }
}
