use diesel_async::AsyncMigrationHarness;
use diesel_migrations::MigrationHarness as _;
use test_support::TestDatabase;
use user_service::MIGRATIONS;

#[tokio::test(flavor = "multi_thread")]
async fn every_step_goes_down_and_up_again() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let connection = database.connect().await;
    tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        let down = harness.revert_all_migrations(MIGRATIONS).unwrap().len();
        let up = harness.run_pending_migrations(MIGRATIONS).unwrap().len();
        assert!(down > 0 && down == up);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_older_layout_s_keys_are_dropped_only_once_all_of_them_were_moved() {
    const STEP: &str = include_str!(
        "../../../../migrations/user-service/2026-11-26-000010_no_older_session_keys/up.sql"
    );
    use diesel_async::SimpleAsyncConnection as _;
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let mut connection = database.connect().await;
    connection.batch_execute(STEP).await.unwrap();
    connection.batch_execute("CREATE TABLE user_session_keys (id bigint)").await.unwrap();
    connection.batch_execute("INSERT INTO user_session_keys VALUES (1), (2)").await.unwrap();
    for change in [
        "ALTER TABLE user_session_keys ADD COLUMN moved_at timestamptz",
        "UPDATE user_session_keys SET moved_at = now() WHERE id = 1",
    ] {
        let error = connection.batch_execute(STEP).await.unwrap_err().to_string();
        assert!(error.contains("run `latchkey migrate session-keys` first"), "{error}");
        connection.batch_execute(change).await.unwrap();
    }
    connection.batch_execute("UPDATE user_session_keys SET moved_at = now()").await.unwrap();
    connection.batch_execute(STEP).await.unwrap();
    assert!(connection.batch_execute("SELECT FROM user_session_keys").await.is_err());
}
