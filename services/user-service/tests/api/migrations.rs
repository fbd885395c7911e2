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
async fn every_column_has_a_comment() {
    use diesel_async::RunQueryDsl as _;
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT c.relname || '.' || a.attname AS name
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
           AND NOT a.attisdropped AND c.relname NOT LIKE '\\_\\_diesel%'
           AND col_description(c.oid, a.attnum) IS NULL",
    )
    .load(&mut database.connect().await)
    .await
    .unwrap();
    let names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
    assert!(names.is_empty(), "without a comment: {names:?}");
}
