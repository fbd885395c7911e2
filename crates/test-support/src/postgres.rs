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
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::database::server_url;
use crate::ports::free_port;
use crate::{TestCertificate, eventually};

/// A PostgreSQL of one's own that offers TLS, of the same build as the one that tests share; it
/// ends with this.
pub struct TestPostgres {
    port: u16,
    _folder: TempDir,
    _child: Child,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    programs: String,
    #[diesel(sql_type = Text)]
    data: String,
}

impl TestPostgres {
    /// Starts one on a free port of the loopback, which shows `certificate`.
    pub async fn start(certificate: &TestCertificate) -> Self {
        let Place { programs, data } = place().await;
        // PostgreSQL runs for no administrator: whoever runs the shared one runs this one too.
        let owner = fs::metadata(data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = |path: &Path| chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        own(folder.path());
        let key = folder.path().join("server.key");
        let shown = folder.path().join("server.pem");
        for (from, to) in [(&certificate.key_path, &key), (&certificate.certificate_path, &shown)] {
            fs::copy(from, to).unwrap();
            fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
            own(to);
        }
        let data = folder.path().join("data");
        let command = |name: &str| {
            let mut command = Command::new(PathBuf::from(&programs).join(name));
            command.uid(owner.uid()).gid(owner.gid()).current_dir(folder.path());
            command.arg("-D").arg(&data).stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(Stdio::null()).kill_on_drop(true);
            command
        };
        let made = command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--no-sync")
            .status();
        assert!(made.await.unwrap().success(), "initdb");
        loop {
            let port = free_port();
            let mut child = command("postgres")
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
                .args(["-c", "fsync=off", "-c", "ssl=on", "-c", &format!("port={port}")])
                // Nothing that a killed server would leave behind.
                .args(["-c", "dynamic_shared_memory_type=mmap"])
                .args(["-c", &format!("ssl_cert_file={}", shown.display())])
                .args(["-c", &format!("ssl_key_file={}", key.display())])
                .spawn()
                .unwrap();
            // Somebody may take the port between our look and PostgreSQL's.
            if is_up(port, &mut child).await {
                return Self { port, _folder: folder, _child: child };
            }
        }
    }

    /// `postgres://…` of its maintenance database, by another host's name or address and with more
    /// parameters where they are given.
    #[must_use]
    pub fn url(&self, host: &str, parameters: &str) -> Secret {
        Secret::from(format!("postgres://postgres@{host}:{}/postgres?{parameters}", self.port))
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
    let url = Secret::from(format!("postgres://postgres@127.0.0.1:{port}/postgres"));
    eventually("PostgreSQL answers or ends", || {
        let (ended, url) = (child.try_wait().unwrap().is_some(), url.clone());
        async move { (ended || connect(&url).await.is_ok()).then_some(!ended) }
    })
    .await
}
