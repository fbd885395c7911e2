//! `cargo xtask up` as a newcomer types it, on free ports and a data folder of its own.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// Longer than a build of the services takes, where the tests' own did not make it already.
const PATIENCE: Duration = Duration::from_mins(15);
const PORTS: [&str; 8] = [
    "USER_SERVICE__HTTP__PORT",
    "CHAT_SERVICE__HTTP__PORT",
    "USER_SERVICE__ADMIN__PORT",
    "CHAT_SERVICE__ADMIN__PORT",
    "AUTH_MANAGER__HTTP__PORT",
    "AUTH_MANAGER__ADMIN__PORT",
    "LATCHKEY_KEYCLOAK_PORT",
    "LATCHKEY_KEYCLOAK_MANAGEMENT_PORT",
];

struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn start(folder: &Path, ports: [u16; 8], arguments: &[&str]) -> Self {
        let ports = PORTS.into_iter().zip(ports.map(|port| port.to_string()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("up")
            .args(arguments)
            .env("LATCHKEY_DATA_FOLDER", folder)
            .env("DATABASE_URL", "")
            .envs(ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on to the line with `text` in it.
    async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended without saying `{text}`"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads on until everything runs; a client of the PostgreSQL.
    async fn running(&mut self) -> Client {
        let line = self.line_with("PostgreSQL is ready at ").await;
        let url = line.split_whitespace().find(|word| word.starts_with("postgres://")).unwrap();
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        self.line_with("everything runs").await;
        client
    }

    async fn interrupt(mut self) -> (ExitStatus, String) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        let mut rest = String::new();
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap() {
            rest += &line;
        }
        (self.child.wait().await.unwrap(), rest)
    }
}

fn free_ports() -> [u16; 8] {
    let sockets = [(); 8].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn is_any_process_in(folder: &Path) -> bool {
    let mut commands = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    commands.any(|command| command.contains(folder.to_str().unwrap()))
}

#[tokio::test]
async fn up_runs_everything_ends_it_on_ctrl_c_and_keeps_data_until_told_to_start_over() {
    let parent = tempfile::tempdir().unwrap();
    // Root's PostgreSQL runs as somebody else, who must get this far; a path too long for a
    // socket file, with a space in it, is a path like any other.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(parent.path(), permissions).unwrap();
    let folder = parent.path().join("a folder ".repeat(12)).join("postgres");
    let ports = free_ports();

    let mut first = Up::start(&folder, ports, &[]);
    let client = first.running().await;
    client.batch_execute("CREATE TABLE kept (id int)").await.unwrap();
    let busy = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("up")
        .envs(PORTS.into_iter().zip(ports.map(|port| port.to_string())))
        .output()
        .await
        .unwrap();
    assert!(!busy.status.success());
    let said = String::from_utf8(busy.stderr).unwrap();
    assert!(ports.into_iter().all(|port| said.contains(&port.to_string())), "{said}");
    assert_eq!(said.lines().count(), ports.len(), "{said}");
    let (status, rest) = first.interrupt().await;
    assert!(status.success() && rest.contains("its data is kept"), "{status}: {rest}");
    assert!(ports.into_iter().all(is_free), "a service still listens");

    let mut second = Up::start(&folder, ports, &["--redis"]);
    let client = second.running().await;
    let pid_file = folder.with_extension("redis").join("redis.pid");
    assert!(pid_file.exists() && pid_file.with_file_name("appendonlydir").exists());
    let service = format!("http://127.0.0.1:{}", ports[2]);
    let ready = reqwest::get(format!("{service}/ready")).await.unwrap().text().await.unwrap();
    assert!(ready.contains(r#"{"name":"redis","status":"ready""#), "{ready}");
    assert!(client.batch_execute("SELECT FROM kept").await.is_ok());
    assert!(second.interrupt().await.0.success());
    // Redis removes it as it ends.
    assert!(!pid_file.exists(), "Redis has stayed");

    let mut third = Up::start(&folder, ports, &["--fresh"]);
    let client = third.running().await;
    assert!(client.batch_execute("SELECT FROM kept").await.is_err());
    assert!(third.interrupt().await.0.success());
}

#[tokio::test]
async fn ctrl_c_while_postgresql_starts_leaves_no_process_and_the_next_start_works() {
    let parent = tempfile::tempdir().unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(parent.path(), permissions).unwrap();
    let folder = parent.path().join("postgres");
    let ports = free_ports();
    let mut cut_off = Up::start(&folder, ports, &[]);
    cut_off.line_with("starting PostgreSQL").await;
    let (status, _) = cut_off.interrupt().await;
    assert!(status.success(), "{status}");
    // Each was signalled; the last may take its moment to go.
    let gone = timeout(PATIENCE, async {
        while is_any_process_in(&folder) {
            tokio::task::yield_now().await;
        }
    });
    gone.await.unwrap();
    let mut again = Up::start(&folder, ports, &[]);
    again.line_with("PostgreSQL is ready at ").await;
    assert!(again.interrupt().await.0.success());
}
