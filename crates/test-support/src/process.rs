use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::eventually;

type Log = Arc<Mutex<Vec<String>>>;

/// A service as a process of its own on free ports, killed at the end.
pub struct ServiceProcess {
    child: Child,
    log: Log,
    address: String,
    admin_address: String,
}

impl ServiceProcess {
    /// How the service of `program` is run with no settings but `variables`, away from any `.env`.
    pub fn command(program: impl AsRef<Path>, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(std::env::temp_dir()).env_clear().kill_on_drop(true);
        command.envs(variables.iter().copied());
        command
    }

    /// Starts it; variables that begin with `__` are the service's own settings.
    pub async fn start(program: impl AsRef<Path>, variables: &[(&str, &str)]) -> Self {
        let name = program.as_ref().file_name().and_then(|name| name.to_str()).expect("a program");
        let prefix = name.to_uppercase().replace('-', "_");
        // A busy machine decides no test.
        let own =
            [("__HTTP__PORT", "0"), ("__ADMIN__PORT", "0"), ("__DATABASE__CONNECT_TIMEOUT", "60s")];
        let mut command = Self::command(&program, &[]);
        for (name, value) in own.iter().chain(variables) {
            let own = if name.starts_with("__") { prefix.as_str() } else { "" };
            command.env(format!("{own}{name}"), value);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a program that starts");
        let log = Log::default();
        tokio::spawn(read(child.stdout.take().expect("its output"), Arc::clone(&log)));
        let (address, admin_address) = (String::new(), String::new());
        let mut process = Self { child, log, address, admin_address };
        let listening = process.logged("listening").await;
        let scheme = if listening["tls"] == true { "https" } else { "http" };
        let url = |member: &str| format!("{scheme}://{}", listening[member].as_str().unwrap());
        (process.address, process.admin_address) = (url("address"), url("admin_address"));
        process
    }

    /// `http://127.0.0.1:port`, `https` over TLS, and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The same on the admin listener.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("{}{path}", self.admin_address)
    }

    /// The first line of the log with this message, once it is there.
    pub async fn logged(&self, message: &str) -> Value {
        eventually(message, || async {
            let log = self.log();
            let mut lines = log.iter().map(|line| serde_json::from_str(line).unwrap_or_default());
            lines.find(|line: &Value| line["message"] == message)
        })
        .await
    }

    /// What it has logged so far, line by line.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// Asks it to drain.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id().expect("a running process")).unwrap();
        kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    }

    /// How it ended.
    pub async fn ended(mut self) -> ExitStatus {
        self.child.wait().await.expect("a process that ends")
    }
}

async fn read(output: ChildStdout, log: Log) {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("readable output") {
        log.lock().unwrap().push(line);
    }
}
