//! How often a connection prepares a statement, and PostgreSQL plans it.

use common::database::DatabaseSettings;
use common::prepared::prepared;
use common::settings::DeploymentEnvironment;
use diesel::sql_types::{Array, BigInt};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[tokio::test]
async fn a_statement_is_prepared_once_and_used_with_other_values() {
    let url = std::env::var("TEST_DATABASE_URL").unwrap();
    let mut connection = AsyncPgConnection::establish(&url).await.unwrap();
    for value in 1..=3_i64 {
        let statement = diesel::sql_query("SELECT $1 + 1 AS number").bind::<BigInt, _>(value);
        let found: Number = prepared(statement).get_result(&mut connection).await.unwrap();
        assert_eq!(found.number, value + 1);
    }
    let kept = "SELECT generic_plans + custom_plans AS number FROM pg_prepared_statements \
                WHERE statement = 'SELECT $1 + 1 AS number'";
    let uses: Vec<Number> = diesel::sql_query(kept).load(&mut connection).await.unwrap();
    assert_eq!(uses.iter().map(|used| used.number).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn with_an_array_too_a_statement_is_planned_once_where_that_is_asked() {
    let url = std::env::var("TEST_DATABASE_URL").unwrap();
    let settings = DatabaseSettings {
        url: url.into(),
        ca_path: None,
        max_connections: 1,
        connect_timeout: "5s".parse().unwrap(),
        statement_timeout: "5s".parse().unwrap(),
    };
    let database = settings.open(DeploymentEnvironment::Development).unwrap();
    let statement = "SELECT oid::int8 AS number FROM pg_class WHERE oid::int8 = ANY ($1)";
    let pools = [(settings.pool(&database), false), (settings.planned_once(1, &database), true)];
    for (pool, once) in pools {
        let mut connection = pool.get().await.unwrap();
        for value in 1..=8_i64 {
            let statement = diesel::sql_query(statement).bind::<Array<BigInt>, _>(vec![value]);
            let _: Vec<Number> = prepared(statement).load(&mut *connection).await.unwrap();
        }
        let kept = "SELECT custom_plans AS number FROM pg_prepared_statements \
                    WHERE statement LIKE '%= ANY ($1)' AND NOT from_sql";
        let plans: Number = diesel::sql_query(kept).get_result(&mut connection).await.unwrap();
        assert_eq!(plans.number == 0, once);
    }
}
