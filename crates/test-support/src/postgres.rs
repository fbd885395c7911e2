use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::database::Database;
use common::settings::Secret;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::database::server_url;
use crate::ports::free_port;
use crate::{TestCertificate, eventually};

/// A PostgreSQL of one's own, of the same build as the one that tests share; it ends with this.
pub struct TestPostgres {
    port: u16,
    program: Program,
    child: Child,
    _folder: TempDir,
}

/// Whom it lets in: everybody, but one who needs TLS and a password.
const ADMISSION: &str = "hostssl all guarded all scram-sha-256\nhost all all all trust\n";

/// How its programs are run.
struct Program {
    folder: PathBuf,
    home: PathBuf,
    /// PostgreSQL runs for no administrator: whoever runs the shared one runs this one too.
    owner: (u32, u32),
    settings: Vec<String>,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    programs: String,
    #[diesel(sql_type = Text)]
    data: String,
}

impl Program {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.uid(self.owner.0).gid(self.owner.1).current_dir(&self.home);
        command.arg("-D").arg(self.data()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).kill_on_drop(true);
        command
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn own(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
    }

    fn serve(&self, port: u16) -> Child {
        let mut command = self.command("postgres");
        for setting in self.settings.iter().chain([&format!("port={port}")]) {
            command.args(["-c", setting]);
        }
        command.spawn().unwrap()
    }
}

impl TestPostgres {
    /// Starts one on a free port of the loopback, which offers TLS and shows `certificate`.
    pub async fn start(certificate: &TestCertificate) -> Self {
        Self::start_with(Some(certificate), ADMISSION).await
    }

    /// The same, which lets in whom these lines of its `pg_hba.conf` do: the administrator without
    /// TLS at least.
    pub async fn start_admitting(certificate: &TestCertificate, admission: &str) -> Self {
        Self::start_with(Some(certificate), admission).await
    }

    /// The same without TLS.
    pub async fn start_without_tls() -> Self {
        Self::start_with(None, ADMISSION).await
    }

    async fn start_with(certificate: Option<&TestCertificate>, admission: &str) -> Self {
        let Place { programs, data } = place().await;
        let owner = fs::metadata(data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program {
            folder: PathBuf::from(programs),
            home: folder.path().to_owned(),
            owner: (owner.uid(), owner.gid()),
            // Nothing that a killed server would leave behind.
            settings: [
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "fsync=off",
                "dynamic_shared_memory_type=mmap",
            ]
            .map(str::to_owned)
            .into(),
        };
        program.own(folder.path());
        if let Some(certificate) = certificate {
            program.settings.push("ssl=on".to_owned());
            let files = [
                ("ssl_cert_file", &certificate.certificate_path),
                ("ssl_key_file", &certificate.key_path),
            ];
            for (setting, from) in files {
                let to = folder.path().join(setting);
                fs::copy(from, &to).unwrap();
                fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
                program.own(&to);
                program.settings.push(format!("{setting}={}", to.display()));
            }
        }
        let made = program
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--no-sync")
            .status();
        assert!(made.await.unwrap().success(), "initdb");
        fs::write(program.data().join("pg_hba.conf"), admission).unwrap();
        loop {
            let port = free_port();
            let mut child = program.serve(port);
            // Somebody may take the port between our look and PostgreSQL's.
            if is_up(port, &mut child).await {
                return Self { port, program, child, _folder: folder };
            }
        }
    }

    /// Ends it, which breaks every connection, and starts it again in its place.
    pub async fn restart(&mut self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        // A fast shutdown.
        kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
        self.child.wait().await.unwrap();
        self.child = self.program.serve(self.port);
        assert!(is_up(self.port, &mut self.child).await, "somebody took its port");
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of its maintenance database, by another host's name or address and with more
    /// parameters where they are given.
    #[must_use]
    pub fn url(&self, host: &str, parameters: &str) -> Secret {
        self.url_as("postgres", host, parameters)
    }

    /// The same for another user than the administrator; `guarded` needs TLS and its password.
    #[must_use]
    pub fn url_as(&self, user: &str, host: &str, parameters: &str) -> Secret {
        Secret::from(format!("postgres://{user}@{host}:{}/postgres?{parameters}", self.port))
    }
}

async fn place() -> Place {
    let mut connection = connect(&Secret::from(server_url())).await.unwrap();
    let question = "SELECT setting AS programs, current_setting('data_directory') AS data \
                    FROM pg_config WHERE name = 'BINDIR'";
    sql_query(question).get_result(&mut connection).await.unwrap()
}

async fn connect(url: &Secret) -> Result<AsyncPgConnection, String> {
    Database::new(url, None).unwrap().connect().await
}

/// Whether it answers; false where it ended.
async fn is_up(port: u16, child: &mut Child) -> bool {
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let url = Secret::from(url);
    eventually("PostgreSQL answers or ends", || {
        let (ended, url) = (child.try_wait().unwrap().is_some(), url.clone());
        async move { (ended || connect(&url).await.is_ok()).then_some(!ended) }
    })
    .await
}
