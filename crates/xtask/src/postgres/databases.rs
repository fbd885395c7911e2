use anyhow::{Context as _, Result, anyhow};
use common::database::Database;
use common::settings::Secret;
use tokio_postgres::Client;

/// The URL of database `name` on the server that `url` names.
pub fn url_of(url: &str, name: &str) -> Result<String> {
    let (base, query) =
        url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let authority = base.split_once("://").context("DATABASE_URL is not postgres://…")?.1;
    let end = authority.find('/').map_or(base.len(), |slash| base.len() - authority.len() + slash);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("{}/{name}{query}", &base[..end]))
}

/// Creates database `name` unless it is there.
pub async fn create(url: &str, name: &str) -> Result<()> {
    let client = connect(url).await?;
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await?;
    if there.is_none() {
        client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await?;
    }
    Ok(())
}

/// Drops database `name` if it is there.
pub async fn drop_database(url: &str, name: &str) -> Result<()> {
    let client = connect(url).await?;
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))
        .await
        .with_context(|| format!("the database `{name}` can't be dropped"))
}

async fn connect(url: &str) -> Result<Client> {
    let database = Database::new(&Secret::from(url.to_owned()), None)
        .map_err(|error| anyhow!("DATABASE_URL: {error}"))?;
    let connected = database.client().await;
    connected
        .map_err(|error| anyhow!("the server that DATABASE_URL names can't be reached: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_replaced_and_the_rest_is_kept() {
        for (url, expected) in [
            ("postgres://u:p@h:1/x", "postgres://u:p@h:1/new"),
            ("postgres://u:p@h:1", "postgres://u:p@h:1/new"),
            ("postgresql://h/x?sslmode=disable", "postgresql://h/new?sslmode=disable"),
        ] {
            assert_eq!(url_of(url, "new").unwrap(), expected);
        }
        assert!(url_of("localhost", "new").is_err());
    }
}
