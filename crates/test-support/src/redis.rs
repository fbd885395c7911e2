use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::eventually;
use crate::ports::free_port;

/// The Redis that every service of this run is to use, if any.
#[must_use]
pub fn redis_url() -> Option<String> {
    std::env::var("TEST_REDIS_URL").ok().filter(|url| !url.is_empty())
}

/// A Redis of one's own, whose process ends with it.
pub struct TestRedis {
    folder: TempDir,
    port: u16,
    child: Child,
    more: Vec<String>,
}

impl TestRedis {
    /// Starts one on a free port; what it knows is lost with it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more words on its command line.
    pub async fn start_with(more: &[&str]) -> Self {
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        loop {
            let port = free_port();
            let mut child = spawn(&folder, port, &more);
            // Somebody may take the port between our look and Redis's.
            if is_up(port, &mut child).await {
                return Self { folder, port, child, more };
            }
        }
    }

    /// `redis://…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Another one in the place of the one that was killed, which knows nothing.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.more);
        assert!(is_up(self.port, &mut self.child).await, "Redis starts again on its port");
    }

    /// What it answers to one command without spaces in its words, but for the first byte, which
    /// says of what kind that is.
    pub async fn ask(&self, command: &str) -> String {
        ask(self.port, command).await.unwrap()
    }
}

fn spawn(folder: &TempDir, port: u16, more: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command.spawn().expect("redis-server is not installed; `cargo xtask test` installs it")
}

/// Whether it answers; false where it ended.
async fn is_up(port: u16, child: &mut Child) -> bool {
    eventually("Redis answers or ends", || {
        let ended = child.try_wait().unwrap().is_some();
        async move {
            let answers = ask(port, "PING").await.is_some_and(|answer| answer == "PONG");
            (ended || answers).then_some(!ended)
        }
    })
    .await
}

async fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.ok()?;
    let text = String::from_utf8_lossy(&answer[..read]).trim_end().to_owned();
    text.get(1..).map(str::to_owned)
}
