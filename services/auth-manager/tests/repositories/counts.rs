//! What is asked of the whole vault: its counts, and which keys sealed it.

use auth_manager::housekeeping::count_grants;
use auth_manager::metrics::ServiceMetrics;
use auth_manager::models::grant::TokenType;
use auth_manager::models::grant_count;
use auth_manager::vault::SEALED_COLUMNS;
use common::metrics::Metrics;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use sealed_columns::find_missing_key;
use vault_crypto::Keyring;

use crate::world::World;

const ROWS: i64 = 20_000;
const INDEX: &str = "auth_vault_by_sealing_key";

#[derive(diesel::QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    read: i64,
}

/// How many entries this transaction has read of an index, or rows of a table one after another.
async fn read_of(connection: &mut AsyncPgConnection, relation: &str) -> i64 {
    let query = format!("SELECT pg_stat_get_xact_tuples_returned('{relation}'::regclass) AS read");
    diesel::sql_query(query).get_result::<Read>(connection).await.unwrap().read
}

/// As many grants, of the size of real ones, as a plan needs to be worth its choice, under two keys.
async fn filled() -> World {
    let mut world = World::new().await;
    let user = world.user;
    // Only what is surely in the log is marked as visible to all.
    world.run("SET synchronous_commit = on").await;
    world
        .run(&format!(
            "INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id,
                 token_type, encrypted_token, sealing_key_id, token_hash, created_at, updated_at,
                 last_access_at)
             SELECT gen_random_uuid(), '{user}', 'keycloak', 'subject', 'app', 'sid-' || number,
                 'offline', decode(repeat(md5(number::text), 50), 'hex'),
                 CASE number % 10 WHEN 0 THEN 'old' ELSE 'new' END, '', now(), now(), now()
             FROM generate_series(1, {ROWS}) AS number"
        ))
        .await;
    world.run("VACUUM ANALYZE auth_vault").await;
    // Other processes' reads are none of this transaction's.
    world.run("SET max_parallel_workers_per_gather = 0").await;
    world.run("BEGIN").await;
    world
}

#[tokio::test]
async fn the_keys_in_use_are_found_without_reading_the_vault() {
    let mut world = filled().await;
    let ring = format!("new:{}", "11".repeat(32));
    let ring = Keyring::parse(&ring).unwrap();
    let connection = &mut world.connection;
    let missing = find_missing_key(connection, SEALED_COLUMNS, &ring).await.unwrap();
    assert_eq!(missing, Some(("auth_vault.encrypted_token".to_owned(), "old".to_owned())));
    assert_eq!(read_of(connection, "auth_vault").await, 0);
    let read = read_of(connection, INDEX).await;
    assert!((2..=4).contains(&read), "{read} entries read for two keys");
}

#[tokio::test]
async fn grants_are_counted_from_an_index_alone() {
    let mut world = filled().await;
    let connection = &mut world.connection;
    let counts = grant_count::count(connection).await.unwrap();
    let mut rows: Vec<_> =
        counts.iter().map(|count| (count.sealing_key_id.as_str(), count.rows)).collect();
    rows.sort_unstable();
    assert_eq!(rows, [("new", ROWS / 10 * 9), ("old", ROWS / 10)]);
    assert_eq!(read_of(connection, "auth_vault").await, 0);
    assert_eq!(read_of(connection, INDEX).await, ROWS);
}

#[tokio::test]
async fn the_gauge_has_grants_by_type_state_and_key_and_nothing_that_is_gone() {
    let mut world = World::new().await;
    let metrics = Metrics::new("auth-manager");
    let gauge = ServiceMetrics::register(&metrics).grants;
    world.add_grant("sid-1", TokenType::Refresh, "one").await;
    world.add_grant("sid-2", TokenType::Offline, "two").await;
    world.add_grant("sid-3", TokenType::Offline, "three").await;
    world
        .run(
            "UPDATE auth_vault SET state = 'dead', dead_reason = 'expired', sealing_key_id = 'new'
             WHERE session_state_id = 'sid-3'",
        )
        .await;
    count_grants(&mut world.connection, &gauge).await.unwrap();
    let told = || {
        let rendered = metrics.render();
        let lines = rendered.lines().filter_map(|line| line.strip_prefix("auth_manager_grants{"));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let refresh = r#"key_id="key",state="live",type="refresh"} 1"#;
    let live = r#"key_id="key",state="live",type="offline"} 1"#;
    assert_eq!(told(), [live, refresh, r#"key_id="new",state="dead",type="offline"} 1"#]);
    // Rewrapped, and cleared away.
    world.run("UPDATE auth_vault SET sealing_key_id = 'new'").await;
    world.run("DELETE FROM auth_vault WHERE state = 'dead' OR token_type = 'refresh'").await;
    count_grants(&mut world.connection, &gauge).await.unwrap();
    assert_eq!(told(), [r#"key_id="new",state="live",type="offline"} 1"#]);
}
