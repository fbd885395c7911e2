//! TLS to a PostgreSQL that offers it, mode by mode, and to one that does not.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::database::{Database, DatabaseSettings, Wake, listen};
use common::settings::DeploymentEnvironment::{Development, Preview, Production};
use common::settings::{Period, Secret};
use diesel::sql_types::Bool;
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use test_support::{TestAuthority, TestPostgres, eventually};

const HERE: &str = "127.0.0.1";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

/// Whether the connection that it comes to is encrypted; else why there is none.
async fn is_encrypted(url: &Secret, ca_path: Option<&str>) -> Result<bool, String> {
    let mut connection = Database::new(url, ca_path)?.connect().await?;
    let question = sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let Row { ssl } = question.get_result(&mut connection).await.unwrap();
    Ok(ssl)
}

#[tokio::test]
async fn each_mode_of_libpq_is_what_it_is_there() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let try_mode = async |mode: &str, ca_path: Option<&str>| {
        is_encrypted(&server.url(HERE, &format!("sslmode={mode}")), ca_path).await
    };
    assert_eq!(try_mode("disable", None).await, Ok(false));
    for mode in ["prefer", "require"] {
        assert_eq!(try_mode(mode, None).await, Ok(true), "{mode}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(try_mode(mode, Some(authority.ca_path())).await, Ok(true), "{mode}");
        let error = try_mode(mode, Some(stranger.ca_path())).await.unwrap_err();
        assert!(error.contains("authority") && error.contains("`database.ca_path`"), "{error}");
    }
    let by_url = format!("sslmode=verify-full&sslrootcert={}", authority.ca_path());
    assert_eq!(is_encrypted(&server.url(HERE, &by_url), None).await, Ok(true));
    // Whoever names an authority and no mode wants the strictest.
    let unsaid = server.url("localhost", "");
    let error = is_encrypted(&unsaid, Some(authority.ca_path())).await.unwrap_err();
    assert!(error.contains("for another name"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_where_the_name_is_asked_and_an_old_one_always() {
    let authority = TestAuthority::new();
    let elsewhere = TestPostgres::start(&authority.issue("database.example")).await;
    let ca_path = Some(authority.ca_path());
    let asked = elsewhere.url(HERE, "sslmode=verify-full");
    let error = is_encrypted(&asked, ca_path).await.unwrap_err();
    assert!(error.contains("for another name") && !error.contains('\n'), "{error}");
    assert_eq!(is_encrypted(&elsewhere.url(HERE, "sslmode=verify-ca"), ca_path).await, Ok(true));
    let old = TestPostgres::start(&authority.issue_expired(HERE)).await;
    for mode in ["verify-ca", "verify-full"] {
        let url = old.url(HERE, &format!("sslmode={mode}"));
        let error = is_encrypted(&url, ca_path).await.unwrap_err();
        assert!(error.contains("is not accepted"), "{error}");
    }
}

#[tokio::test]
async fn an_authority_is_the_one_that_its_file_has_when_a_connection_is_made() {
    let (authority, file) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    for mode in ["verify-ca", "verify-full"] {
        let before = fs::read(file.ca_path()).unwrap();
        let url = server.url(HERE, &format!("sslmode={mode}"));
        let database = Database::new(&url, Some(file.ca_path())).unwrap();
        assert!(database.connect().await.is_err());
        fs::copy(authority.ca_path(), file.ca_path()).unwrap();
        eventually("it is heeded", async || database.connect().await.ok()).await;
        fs::write(file.ca_path(), before).unwrap();
    }
}

#[tokio::test]
async fn where_no_tls_is_offered_only_who_insists_is_refused() {
    let server = TestPostgres::start_without_tls().await;
    let try_mode =
        async |mode: &str| is_encrypted(&server.url(HERE, &format!("sslmode={mode}")), None).await;
    for mode in ["disable", "prefer"] {
        assert_eq!(try_mode(mode).await, Ok(false), "{mode}");
    }
    assert_eq!(is_encrypted(&server.url(HERE, ""), None).await, Ok(false), "prefer, unsaid");
    for mode in ["require", "verify-full"] {
        let error = try_mode(mode).await.unwrap_err();
        assert!(error.contains("offers no TLS"), "{error}");
    }
}

#[tokio::test]
async fn where_the_server_admits_nobody_over_tls_only_who_insists_on_it_is_refused() {
    let authority = TestAuthority::new();
    let password = "the%20right%20one";
    for refusal in ["", "hostssl all all all reject\n"] {
        let admission = format!(
            "hostssl all guarded all scram-sha-256\n{refusal}hostnossl all all all trust\n"
        );
        let server = TestPostgres::start_admitting(&authority.issue(HERE), &admission).await;
        let try_mode = async |user: &str, parameters: &str| {
            is_encrypted(&server.url_as(user, HERE, parameters), None).await
        };
        for mode in ["", "sslmode=prefer", "sslmode=disable"] {
            assert_eq!(try_mode("postgres", mode).await, Ok(false), "{mode}");
        }
        let error = try_mode("postgres", "sslmode=require").await.unwrap_err();
        assert!(error.contains("pg_hba.conf"), "{error}");
        // Both reasons are said: which of the two is to be mended is for the reader to know.
        let error = try_mode("nobody", "").await.unwrap_err();
        assert!(error.contains("pg_hba.conf") && error.contains("\"nobody\" does not"), "{error}");

        let unencrypted = server.url(HERE, "sslmode=disable");
        let mut connection = Database::new(&unencrypted, None).unwrap().connect().await.unwrap();
        let role = "CREATE ROLE guarded LOGIN PASSWORD 'the right one'";
        connection.batch_execute(role).await.unwrap();
        assert_eq!(try_mode(&format!("guarded:{password}"), "").await, Ok(true));
        // A password that is wrong over TLS is not tried where it could be read.
        let error = try_mode("guarded:another", "").await.unwrap_err();
        assert!(error.contains("password authentication failed"), "{error}");
    }
}

#[tokio::test]
async fn an_address_alone_is_the_name_that_the_certificate_is_asked_for() {
    let authority = TestAuthority::new();
    let ca_path = Some(authority.ca_path());
    let here = TestPostgres::start(&authority.issue(HERE)).await;
    let elsewhere = TestPostgres::start(&authority.issue("database.example")).await;
    let by = |server: &TestPostgres, mode: &str| {
        let place = format!("hostaddr={HERE}&port={}", server.port());
        Secret::from(format!("postgres://postgres@/postgres?{place}&sslmode={mode}"))
    };
    for mode in ["prefer", "require"] {
        assert_eq!(is_encrypted(&by(&here, mode), None).await, Ok(true), "{mode}");
    }
    for mode in ["verify-ca", "verify-full"] {
        assert_eq!(is_encrypted(&by(&here, mode), ca_path).await, Ok(true), "{mode}");
    }
    let error = is_encrypted(&by(&elsewhere, "verify-full"), ca_path).await.unwrap_err();
    assert!(error.contains("for another name"), "{error}");
    // A name beside the address is what counts.
    let both = format!("hostaddr={HERE}&sslmode=verify-full");
    let named = elsewhere.url("database.example", &both);
    assert_eq!(is_encrypted(&named, ca_path).await, Ok(true));
    let error = is_encrypted(&here.url("", &both), ca_path).await.unwrap_err();
    assert!(error.contains("empty"), "{error}");
}

#[tokio::test]
async fn a_password_is_proven_over_tls_and_bound_to_its_channel() {
    let authority = TestAuthority::new();
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let ca_path = Some(authority.ca_path());
    let mut connection =
        Database::new(&server.url(HERE, ""), None).unwrap().connect().await.unwrap();
    let role = "CREATE ROLE guarded LOGIN PASSWORD 'the right one'";
    connection.batch_execute(role).await.unwrap();
    let attempt = async |password: &str, parameters: &str| {
        let user = format!("guarded:{password}");
        is_encrypted(&server.url_as(&user, HERE, parameters), ca_path).await
    };
    for binding in ["disable", "prefer", "require"] {
        let parameters = format!("sslmode=verify-full&channel_binding={binding}");
        assert_eq!(attempt("the%20right%20one", &parameters).await, Ok(true), "{binding}");
    }
    let error = attempt("another", "sslmode=verify-full").await.unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
    let plain = server.url_as("guarded:the%20right%20one", HERE, "sslmode=disable");
    // Nobody asks there for a password, and none is bound to what is not there.
    let bound = format!("{}&channel_binding=require", plain.expose());
    assert!(is_encrypted(&Secret::from(bound), None).await.is_err());
}

fn settings(url: &Secret, ca_path: Option<&str>) -> DatabaseSettings {
    DatabaseSettings {
        url: url.clone(),
        ca_path: ca_path.map(str::to_owned),
        max_connections: 1,
        connect_timeout: Period(Duration::from_mins(1)),
        statement_timeout: Period(Duration::from_mins(1)),
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_and_an_authority_is_blamed_for_its_own_faults_alone() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let ours = authority.ca_path();
    for (ca_path, parameters, said) in [
        ("/nowhere.pem", "", "`database.ca_path`: /nowhere.pem can't be read"),
        (ours, "sslmode=disable", "`database.url`: `sslmode=disable` asks no authority"),
        (ours, "sslrootcert=a.pem", "`database.url`: the URL's `sslrootcert` and"),
        (ours, "sslmode=allow", "`database.url`: `sslmode` must be"),
    ] {
        let error = settings(&server.url(HERE, parameters), Some(ca_path)).check().unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
    let mut connection = settings(&server.url(HERE, ""), Some(ours)).connect().await.unwrap();
    connection.batch_execute("CREATE ROLE guarded LOGIN PASSWORD 'one'").await.unwrap();
    let nowhere = server.url(HERE, "").expose().replace("/postgres?", "/nowhere?");
    let closed = format!("postgres://postgres@{HERE}:1/postgres");
    for (url, said) in [
        (Secret::from(closed), "refused"),
        (server.url_as("guarded:another", HERE, ""), "password authentication failed"),
        (Secret::from(nowhere), "database \"nowhere\" does not exist"),
    ] {
        let error = settings(&url, Some(ours)).connect().await.map(drop).unwrap_err();
        assert!(error.contains(said) && !error.contains("ca_path"), "{error}");
    }
    let refused = settings(&server.url(HERE, ""), Some(stranger.ca_path())).connect().await;
    let error = refused.map(drop).unwrap_err();
    assert!(error.contains("authority") && error.contains("`database.ca_path`"), "{error}");
}

#[tokio::test]
async fn who_listens_is_connected_again_over_tls_after_the_server_was_restarted() {
    let authority = TestAuthority::new();
    let mut server = TestPostgres::start(&authority.issue(HERE)).await;
    let database =
        Database::new(&server.url(HERE, "sslmode=verify-full"), Some(authority.ca_path())).unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(listen(database.clone(), "news", move |wake| {
        told.send(wake).unwrap();
    }));
    assert_eq!(heard.recv().await, Some(Wake::Connected));
    server.restart().await;
    assert_eq!(heard.recv().await, Some(Wake::Lost));
    assert_eq!(heard.recv().await, Some(Wake::Connected));
    let mut connection = database.connect().await.unwrap();
    let listeners = sql_query(
        "SELECT bool_and(ssl) AS ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE query LIKE 'LISTEN%'",
    );
    assert!(listeners.get_result::<Row>(&mut connection).await.unwrap().ssl);
    connection.batch_execute("NOTIFY news, 'again'").await.unwrap();
    assert_eq!(heard.recv().await, Some(Wake::Notified("again".to_owned())));
    listening.abort();
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_start_on_a_database_elsewhere_that_need_not_prove_who_it_is_is_said_in_the_log() {
    let authority = TestAuthority::new();
    let warned = |environment, place: &str, ca_path: Option<&str>| {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
        let url = Secret::from(format!("postgres://me:hidden@{place}"));
        tracing::subscriber::with_default(subscriber, || {
            settings(&url, ca_path).open(environment).map(drop).unwrap();
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(!log.contains("hidden"), "{log}");
        log.contains("database_not_verified")
    };
    for environment in [Production, Preview] {
        for mode in ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require"] {
            assert!(warned(environment, &format!("192.0.2.1/d{mode}"), None), "{mode}");
            assert!(!warned(environment, &format!("127.0.0.1/d{mode}"), None), "{mode}");
        }
        for mode in ["", "?sslmode=verify-ca", "?sslmode=verify-full"] {
            let place = format!("192.0.2.1/d{mode}");
            assert!(!warned(environment, &place, Some(authority.ca_path())), "{mode}");
        }
    }
    assert!(!warned(Development, "192.0.2.1/d?sslmode=require", None));
}
