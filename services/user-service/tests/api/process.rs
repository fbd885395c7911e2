//! The service as a process of its own, to be killed.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running service, killed at the end.
pub(crate) struct Process {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Process {
    /// On the database at `url`, halting at `failpoint`, if any.
    pub(crate) async fn start(url: &str, failpoint: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_user-service"))
            .current_dir(std::env::temp_dir())
            .envs([
                ("USER_SERVICE__ENVIRONMENT", "development"),
                ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
                ("USER_SERVICE__HTTP__PORT", "0"),
                ("USER_SERVICE__ADMIN__PORT", "0"),
                ("USER_SERVICE__DATABASE__URL", url),
                ("USER_SERVICE_FAILPOINT", failpoint),
            ])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, log, address: String::new() };
        let listening = process.until("listening").await;
        listening["address"].as_str().unwrap().clone_into(&mut process.address);
        process
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for a line of the log.
    pub(crate) async fn until(&mut self, message: &str) -> Value {
        while let Some(line) = self.log.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == message {
                return line;
            }
        }
        panic!("the process ended before `{message}`");
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
