//! A command and a service on a PostgreSQL that they reach over TLS alone.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};
use std::time::Duration;

use common::database::Database;
use common::settings::Secret;
use diesel::sql_types::BigInt;
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use test_support::{ServiceProcess, TestAuthority, TestPostgres, eventually, program};
use tokio::time::timeout;

const HERE: &str = "127.0.0.1";
const CA_PATH: &str = "USER_SERVICE__DATABASE__CA_PATH";
/// Names whom a machine trusts.
const MACHINE: &str = "SSL_CERT_FILE";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    encrypted: i64,
    #[diesel(sql_type = BigInt)]
    others: i64,
}

/// With `authority` as what the variable `named` names.
fn migrate(url: &str, named: &str, authority: &TestAuthority) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["migrate", "run", "--service", "user-service"])
        .env_clear()
        .env("USER_SERVICE__ENVIRONMENT", "development")
        .env("USER_SERVICE__DATABASE__URL", url)
        .env(named, authority.ca_path())
        .output()
        .unwrap()
}

/// A service on a database that has been migrated, both by way of TLS.
async fn start(url: &Secret, authority: &TestAuthority) -> ServiceProcess {
    let done = migrate(url.expose(), CA_PATH, authority);
    assert!(done.status.success(), "{}", said(&done));
    let settings = [
        ("__ENVIRONMENT", "development"),
        ("__DATABASE__URL", url.expose()),
        ("__DATABASE__CA_PATH", authority.ca_path()),
    ];
    ServiceProcess::start(program("user-service").await, &settings).await
}

/// How many connections are encrypted, and how many are not, of those that `which` selects.
async fn connections(connection: &mut AsyncPgConnection, which: &str) -> QueryResult<(i64, i64)> {
    let question = format!(
        "SELECT count(*) FILTER (WHERE ssl) AS encrypted, count(*) FILTER (WHERE NOT ssl) AS others
         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE {which}"
    );
    let Row { encrypted, others } = sql_query(question).get_result(connection).await?;
    Ok((encrypted, others))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn migrations_and_a_service_reach_a_database_that_proves_who_it_is_and_no_other() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let url = server.url(HERE, "sslmode=verify-full");
    let refused = migrate(url.expose(), CA_PATH, &stranger);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("`database.ca_path`"), "{}", said(&refused));
    let service = start(&url, &authority).await;
    let body = serde_json::json!({ "username": "ada", "password": "a long password" });
    let client = reqwest::Client::builder().build().unwrap();
    let registered = client.post(service.url("/api/auth/register")).json(&body).send().await;
    assert_eq!(registered.unwrap().status(), 201);
    let database = Database::new(&url, Some(authority.ca_path())).unwrap();
    let mut connection = database.connect().await.unwrap();
    let clients = "backend_type = 'client backend'";
    let (encrypted, others) = connections(&mut connection, clients).await.unwrap();
    // Its pool, the one that listens, and ours.
    assert!(encrypted >= 3 && others == 0, "{encrypted} encrypted, {others} not");
}

#[tokio::test]
async fn whom_the_machine_trusts_vouches_for_a_server_where_the_url_says_so() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let elsewhere = TestPostgres::start(&authority.issue("database.example")).await;
    for parameters in
        ["sslrootcert=system", "sslmode=verify-full", "sslmode=verify-full&sslrootcert=system"]
    {
        let url = server.url(HERE, parameters);
        let refused = migrate(url.expose(), MACHINE, &stranger);
        assert!(!refused.status.success(), "{parameters}");
        assert!(said(&refused).contains("is not trusted here"), "{}", said(&refused));
        let misnamed = migrate(elsewhere.url(HERE, parameters).expose(), MACHINE, &authority);
        assert!(said(&misnamed).contains("for another name"), "{}", said(&misnamed));
        let done = migrate(url.expose(), MACHINE, &authority);
        assert!(done.status.success(), "{}", said(&done));
    }
    for mode in ["require", "verify-ca"] {
        let url = server.url(HERE, &format!("sslmode={mode}&sslrootcert=system"));
        let refused = migrate(url.expose(), MACHINE, &authority);
        assert!(said(&refused).contains("needs `sslmode=verify-full`"), "{}", said(&refused));
    }
}

#[tokio::test]
async fn the_change_feed_goes_on_over_tls_after_the_database_was_restarted() {
    let authority = TestAuthority::new();
    let mut server = TestPostgres::start(&authority.issue(HERE)).await;
    let url = server.url(HERE, "sslmode=verify-full");
    let service = start(&url, &authority).await;
    server.restart().await;
    let database = Database::new(&url, Some(authority.ca_path())).unwrap();
    let mut connection = eventually("it listens again, over TLS", || async {
        let mut connection = database.connect().await.ok()?;
        let (encrypted, others) =
            connections(&mut connection, "query LIKE 'LISTEN%'").await.ok()?;
        assert_eq!(others, 0);
        (encrypted > 0).then_some(connection)
    })
    .await;
    let client = reqwest::Client::builder().build().unwrap();
    let mut feed = eventually("the feed answers again", || async {
        let asked = client
            .get(service.url("/.well-known/jwks/changes"))
            .basic_auth("chat-service", Some("development-feed-secret"));
        asked.send().await.ok()?.error_for_status().ok()
    })
    .await;
    let mut heard = String::new();
    let mut read_until = async |text: &str| {
        while !heard.contains(text) {
            let piece = timeout(Duration::from_mins(1), feed.chunk()).await.unwrap();
            heard += str::from_utf8(&piece.unwrap().unwrap()).unwrap();
        }
    };
    read_until("event: caught_up").await;
    let session = "6a6f6200-6c61-4463-a86b-657900000001";
    let revocation = format!(
        "INSERT INTO key_changes (kind, value, until)
         VALUES ('sid', '{session}', now() + interval '1 hour')"
    );
    connection.batch_execute(&revocation).await.unwrap();
    read_until(session).await;
}
