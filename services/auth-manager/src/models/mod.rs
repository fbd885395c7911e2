//! Rows and their queries, one table a file.

pub mod account;
pub mod authorization_state;
pub mod drawn_token;
pub mod grant;
pub mod grant_count;
pub mod grant_end;
pub mod grant_lease;
pub mod grant_upsert;
pub mod logout_token;
pub mod persistent_token;
pub mod provider_call;
pub mod session_event;
pub mod sharing;
pub mod token_use;
pub mod user;
pub mod user_session;
pub mod vault_entry;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

/// Deletes up to `batch` rows that meet `condition`, in which `$1` is `time`. Table and condition
/// are literals of the models.
pub(crate) async fn delete_batch(
    connection: &mut AsyncPgConnection,
    table: &'static str,
    condition: &'static str,
    time: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let statement = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM {table} WHERE {condition} LIMIT $2)) AND {condition}"
    );
    diesel::sql_query(statement)
        .bind::<diesel::sql_types::Timestamptz, _>(time)
        .bind::<diesel::sql_types::BigInt, _>(batch)
        .execute(connection)
        .await
}
