//! A command and a service on a PostgreSQL that they reach over TLS alone.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use common::database::Database;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use test_support::{ServiceProcess, TestAuthority, TestPostgres, program};

const HERE: &str = "127.0.0.1";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    encrypted: i64,
    #[diesel(sql_type = BigInt)]
    others: i64,
}

fn migrate(url: &str, ca_path: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["migrate", "run", "--service", "user-service"])
        .env_clear()
        .env("USER_SERVICE__ENVIRONMENT", "development")
        .env("USER_SERVICE__DATABASE__URL", url)
        .env("USER_SERVICE__DATABASE__CA_PATH", ca_path)
        .output()
        .unwrap()
}

#[tokio::test]
async fn migrations_and_a_service_reach_a_database_that_proves_who_it_is_and_no_other() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let url = server.url(HERE, "sslmode=verify-full");
    let refused = migrate(url.expose(), stranger.ca_path());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("`database.ca_path`"), "{said}");
    let done = migrate(url.expose(), authority.ca_path());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let settings = [
        ("__ENVIRONMENT", "development"),
        ("__DATABASE__URL", url.expose()),
        ("__DATABASE__CA_PATH", authority.ca_path()),
    ];
    let service = ServiceProcess::start(program("user-service").await, &settings).await;
    let body = serde_json::json!({ "username": "ada", "password": "a long password" });
    let client = reqwest::Client::builder().build().unwrap();
    let registered = client.post(service.url("/api/auth/register")).json(&body).send().await;
    assert_eq!(registered.unwrap().status(), 201);
    let database = Database::new(&url, Some(authority.ca_path())).unwrap();
    let mut connection = database.connect().await.unwrap();
    let question = "SELECT count(*) FILTER (WHERE ssl) AS encrypted, \
                    count(*) FILTER (WHERE NOT ssl) AS others \
                    FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE backend_type = 'client backend'";
    let Row { encrypted, others } = sql_query(question).get_result(&mut connection).await.unwrap();
    // Its pool, the one that listens, and ours.
    assert!(encrypted >= 3 && others == 0, "{encrypted} encrypted, {others} not");
}
