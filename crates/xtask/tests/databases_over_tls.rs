//! `up` and `bench` on the server that `DATABASE_URL` names, over TLS as the URL says.

use common::database::Database;
use common::settings::Secret;
use test_support::{TestAuthority, TestPostgres};
use xtask::postgres::{create, drop_database, url_of};

const HERE: &str = "127.0.0.1";

#[tokio::test]
async fn databases_are_made_on_a_server_that_proves_who_it_is_and_on_no_other() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let server = TestPostgres::start(&authority.issue(HERE)).await;
    let by = |authority: &TestAuthority| {
        let parameters = format!("sslmode=verify-full&sslrootcert={}", authority.ca_path());
        server.url(HERE, &parameters).expose().to_owned()
    };
    let refused = format!("{:#}", create(&by(&stranger), "one").await.unwrap_err());
    assert!(refused.contains("DATABASE_URL") && refused.contains("is not trusted"), "{refused}");
    let url = by(&authority);
    for _ in ["made", "there"] {
        create(&url, "one").await.unwrap();
    }
    let one = Secret::from(url_of(&url, "one").unwrap());
    let client = Database::new(&one, None).unwrap().client().await.unwrap();
    let question = "SELECT ssl, current_database()::text FROM pg_stat_ssl
        WHERE pid = pg_backend_pid()";
    let row = client.query_one(question, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (true, "one".to_owned()));
    drop_database(&url, "one").await.unwrap();
    assert!(Database::new(&one, None).unwrap().client().await.is_err());
}
