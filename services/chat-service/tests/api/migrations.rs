//! The steps that build the tables.

use chat_service::MIGRATIONS;
use diesel_async::AsyncMigrationHarness;
use diesel_migrations::MigrationHarness as _;
use test_support::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn every_step_goes_down_and_up_again() {
    let database = TestDatabase::create("chat", || MIGRATIONS).await;
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
