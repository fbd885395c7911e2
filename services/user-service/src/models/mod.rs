//! Rows and their queries, one table a file.

pub mod api_key;
pub mod auth_session;
pub mod cookie_rollout;
pub mod cookie_rollout_session;
pub mod device;
pub mod device_nonce;
pub mod key_change;
pub mod key_retirement;
pub mod passkey;
pub mod passkey_challenge;
pub mod password_parameters;
pub mod published_key;
pub mod rate_limit;
pub mod rotation;
pub mod security_event;
pub mod security_event_chain;
pub mod service_key;
pub mod step_up;
pub mod user;
pub mod user_keyset;
pub mod user_role;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

/// Deletes up to `batch` rows that meet `condition`, in which `$1` is `time`. Table and condition
/// are literals of the models.
async fn delete_batch(
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
