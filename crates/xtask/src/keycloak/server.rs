use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{Java, distribution};
use crate::service::is_ready;
use crate::{ports, workspace};

/// A first start takes a minute on a small machine, more while it compiles something else.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_mins(5);
/// Where the management port says that it is ready.
pub(crate) const READY_PATH: &str = "/health/ready";
const LOOK_EVERY: Duration = Duration::from_millis(100);
const REALM: &str = "deploy/keycloak/realm.json";
const PROVIDERS: &str = "deploy/providers.toml";
/// As `deploy/providers.toml` has it.
const USUAL_BASE: &str = "http://localhost:8180/";
/// As the realm has it, where Keycloak tells auth-manager of a sign-out.
const USUAL_AUTH_BASE: &str = "http://localhost:8000/";

/// How it is started.
#[derive(Clone, Debug)]
pub(crate) struct Startup {
    pub(crate) java: Java,
    pub(crate) home: PathBuf,
    pub(crate) port: u16,
    pub(crate) management_port: u16,
}

/// Keycloak's home in `folder`, with our realm laid out for import, where auth-manager is on
/// `auth_port`: a realm that is there already is left alone.
pub(crate) async fn home(folder: &Path, auth_port: u16) -> Result<PathBuf> {
    let home = distribution::provide(folder).await?;
    let import = home.join("data/import");
    std::fs::create_dir_all(&import)?;
    let realm = std::fs::read_to_string(workspace().join(REALM))?;
    let realm = realm.replace(USUAL_AUTH_BASE, &format!("http://localhost:{auth_port}/"));
    std::fs::write(import.join("latchkey-realm.json"), realm)?;
    Ok(home)
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
        let mut command = Command::new(self.home.join("bin/kc.sh"));
        command
            .args(["start-dev", "--import-realm", "--db=dev-file", "--health-enabled=true"])
            .args(["--http-host=127.0.0.1", "--log-level=warn,org.keycloak.exportimport:info"])
            .arg(format!("--http-port={}", self.port))
            .arg(format!("--http-management-port={}", self.management_port))
            .arg(format!("--hostname={}", self.url()))
            .env("JAVA", &self.java.0)
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
        let java = Java::provide().await?;
        let home = home(folder, ports::AUTH.default).await?;
        let (port, management_port) = (ports::free(0)?, ports::free(0)?);
        let startup = Startup { java, home, port, management_port };
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
        &self.startup.home
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
