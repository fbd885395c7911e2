//! Which keys of the ring sealed something that is still there.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use vault_crypto::Keyring;

use crate::SealedColumn;

/// Values of one column that one key sealed.
#[derive(Clone, Debug, PartialEq, Eq, diesel::QueryableByName)]
pub struct KeyUse {
    /// `table.column`.
    #[diesel(sql_type = Text)]
    pub column: String,
    /// The key.
    #[diesel(sql_type = Text)]
    pub key_id: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// Counts the values of `columns` by key.
pub async fn count_keys(
    connection: &mut AsyncPgConnection,
    columns: &[SealedColumn],
) -> QueryResult<Vec<KeyUse>> {
    let counts = columns.iter().map(|column| {
        format!(
            "SELECT '{}' AS \"column\", t.sealing_key_id AS key_id, count(*) AS rows
             FROM {} AS t WHERE {} GROUP BY t.sealing_key_id",
            column.name, column.table, column.held
        )
    });
    let query = counts.collect::<Vec<_>>().join(" UNION ALL ") + " ORDER BY 1, 2";
    diesel::sql_query(query).load(connection).await
}

#[derive(diesel::QueryableByName)]
struct Used {
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Text)]
    key_id: String,
}

/// A key in use that `keyring` lacks, and a column that it sealed. Reads one index entry a key,
/// however many rows there are.
pub async fn find_missing_key(
    connection: &mut AsyncPgConnection,
    columns: &[SealedColumn],
    keyring: &Keyring,
) -> QueryResult<Option<(String, String)>> {
    let loose: Vec<String> = columns.iter().map(distinct).collect();
    let used: Vec<Used> = diesel::sql_query(loose.join(" UNION ALL ")).load(connection).await?;
    let missing = used.into_iter().find(|used| !keyring.contains(&used.key_id));
    Ok(missing.map(|used| (used.column, used.key_id)))
}

/// PostgreSQL's way to skip from one distinct value of an index to the next.
fn distinct(column: &SealedColumn) -> String {
    let next = |beyond: &str| {
        format!(
            "(SELECT t.sealing_key_id FROM {} AS t WHERE {} {beyond}
              ORDER BY t.sealing_key_id LIMIT 1)",
            column.table, column.held
        )
    };
    format!(
        "(WITH RECURSIVE used (key_id) AS (
             SELECT {first}
             UNION ALL
             SELECT {after} FROM used WHERE used.key_id IS NOT NULL
         )
         SELECT '{name}' AS \"column\", key_id FROM used WHERE key_id IS NOT NULL)",
        first = next(""),
        after = next("AND t.sealing_key_id > used.key_id"),
        name = column.name,
    )
}
