use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::ports::free_port;

/// A first start on a slow machine takes over a minute.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A Keycloak that a test may stop, kill and start again; its data outlives a restart.
///
/// `TEST_KEYCLOAK_HOME` names the unpacked distribution, of which it makes a copy.
pub struct OwnKeycloak {
    folder: TempDir,
    ports: [u16; 2],
    child: Child,
}

impl OwnKeycloak {
    /// Starts one and waits until it is ready.
    pub async fn start() -> Self {
        let home = std::env::var("TEST_KEYCLOAK_HOME")
            .expect("TEST_KEYCLOAK_HOME names no distribution; run `cargo xtask test`");
        let folder = TempDir::new().unwrap();
        copy(Path::new(&home), folder.path());
        let ports = [free_port(), free_port()];
        let child = spawn(folder.path(), ports);
        let mut own = Self { folder, ports, child };
        own.wait_until_ready().await;
        own
    }

    /// Its base, for [`super::TestRealm::create_on`].
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.ports[0])
    }

    /// It takes connections and answers nothing (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// It is gone at once (SIGKILL).
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// Starts it again after [`Self::kill`].
    pub async fn restart(&mut self) {
        self.child = spawn(self.folder.path(), self.ports);
        self.wait_until_ready().await;
    }

    /// The same, without the data that it had.
    pub async fn restart_empty(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
        self.restart().await;
    }

    /// `kc.sh` becomes Java where it had to prepare the distribution first, and else waits for it.
    fn signal(&self, signal: Signal) {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        for pid in children.chain([own.try_into().unwrap()]) {
            kill(Pid::from_raw(pid), signal).unwrap();
        }
    }

    async fn wait_until_ready(&mut self) {
        let url = format!("http://localhost:{}/health/ready", self.ports[1]);
        let started = Instant::now();
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            let ended = self.child.try_wait().unwrap();
            let log = self.folder.path().join("log");
            assert!(ended.is_none(), "{}", std::fs::read_to_string(log).unwrap_or_default());
            assert!(started.elapsed() < PATIENCE, "Keycloak is not ready in time");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for OwnKeycloak {
    fn drop(&mut self) {
        // It may have been killed, and its end waited for, already.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}

fn spawn(home: &Path, ports: [u16; 2]) -> Child {
    let log = File::create(home.join("log")).unwrap();
    Command::new(home.join("bin/kc.sh"))
        .args(["start-dev", "--db=dev-file", "--health-enabled=true"])
        .arg(format!("--http-port={}", ports[0]))
        .arg(format!("--http-management-port={}", ports[1]))
        .arg(format!("--hostname=http://localhost:{}", ports[0]))
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The distribution without its data. Archives are linked where they can be: nothing writes to
/// them.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let target = to.join(name);
        if path.is_dir() {
            if name != "data" {
                copy(&path, &target);
            }
            continue;
        }
        let linked = path.extension().is_some_and(|extension| extension == "jar")
            && !path.ends_with("quarkus/generated-bytecode.jar")
            && std::fs::hard_link(&path, &target).is_ok();
        if !linked {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
