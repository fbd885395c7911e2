//! The way that a machine without PostgreSQL goes: binaries from Maven Central, as a user who is
//! not root.

#![expect(clippy::unwrap_used, reason = "a test")]

use tokio_postgres::NoTls;
use xtask::postgres::{self, Binaries, Cluster, Durability, Owner, Source};

async fn count_databases(url: &str, name: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM pg_database WHERE datname = $1";
    client.query_one(count, &[&name]).await.unwrap().get(0)
}

#[tokio::test]
async fn embedded_binaries_start_keep_their_data_and_stop() {
    let owner = Owner::find().unwrap();
    let binaries = Binaries::provide(Source::Embedded, &owner).await.unwrap();
    let again = Binaries::provide(Source::Embedded, &owner).await.unwrap();
    assert_eq!(binaries.folder(), again.folder());

    let folder = std::env::temp_dir().join(format!("latchkey-embedded-{}", std::process::id()));
    let start = || Cluster::start(&binaries, &owner, &folder, 0, Durability::ThrownAway);
    let cluster = start().await.unwrap();
    postgres::create(&cluster.url(), "kept").await.unwrap();
    postgres::create(&cluster.url(), "kept").await.unwrap();
    assert_eq!(count_databases(&cluster.url(), "kept").await, 1);
    let url = cluster.url();
    cluster.stop().await.unwrap();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());

    let cluster = start().await.unwrap();
    assert_eq!(count_databases(&cluster.url(), "kept").await, 1);
    postgres::drop_database(&cluster.url(), "kept").await.unwrap();
    assert_eq!(count_databases(&cluster.url(), "kept").await, 0);
    // As after a crash of ours: the next start ends what is still running.
    std::mem::forget(cluster);
    let cluster = start().await.unwrap();
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
