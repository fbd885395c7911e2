//! TLS to a PostgreSQL that offers it, mode by mode, and to one that does not.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use common::database::Database;
use common::settings::Secret;
use diesel::sql_types::Bool;
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use test_support::{TestAuthority, TestPostgres};

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
async fn where_no_tls_is_offered_only_who_insists_is_refused() {
    let shared = std::env::var("TEST_DATABASE_URL").unwrap();
    let mark = if shared.contains('?') { '&' } else { '?' };
    let with = |mode: &str| Secret::from(format!("{shared}{mark}sslmode={mode}"));
    assert!(is_encrypted(&with("disable"), None).await.is_ok());
    let insisted = is_encrypted(&with("require"), None).await;
    // The shared one may offer it where somebody brought their own.
    if let Err(error) = insisted {
        assert!(error.contains("offers no TLS"), "{error}");
        assert_eq!(is_encrypted(&with("prefer"), None).await, Ok(false));
    }
}
