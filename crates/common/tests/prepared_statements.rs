//! How often a connection prepares a statement.

use common::prepared::prepared;
use diesel::sql_types::BigInt;
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
