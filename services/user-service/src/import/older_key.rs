//! `user_session_keys`, as an older layout left it. Types of its columns differed, so all is read
//! as text.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, Bool, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::Count;

/// Rows read at once.
const BATCH: i64 = 100;

/// A row.
#[derive(diesel::QueryableByName)]
pub(super) struct OlderKey {
    /// Where it stands in the table.
    #[diesel(sql_type = Text)]
    pub(super) place: String,
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Text)]
    pub(super) user_id: String,
    #[diesel(sql_type = Text)]
    pub(super) device_id: String,
    #[diesel(sql_type = Text)]
    pub(super) key_id: String,
    #[diesel(sql_type = Text)]
    pub(super) key_data: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) updated_at: DateTime<Utc>,
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

pub(super) async fn table_is_there(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    ask(connection, "SELECT to_regclass('user_session_keys') IS NOT NULL AS yes").await
}

async fn ask(connection: &mut AsyncPgConnection, query: &str) -> QueryResult<bool> {
    let answer: Answer = diesel::sql_query(query).get_result(connection).await?;
    Ok(answer.yes)
}

/// The mark goes with the table, when a later step drops it.
pub(super) async fn add_mark(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    let statement =
        "ALTER TABLE user_session_keys ADD COLUMN IF NOT EXISTS moved_at timestamptz;
         COMMENT ON COLUMN user_session_keys.moved_at IS
             'When the import moved the key into a keyset, or found that another one stands for it.'";
    connection.batch_execute(statement).await
}

/// Counts the rows and opens a cursor on those that are not settled: user by user, a device's
/// newest key first.
pub(super) async fn open(source: &mut AsyncPgConnection) -> QueryResult<Count> {
    source.batch_execute("BEGIN READ ONLY; SET LOCAL timezone = 'UTC'").await?;
    let marked = ask(
        source,
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('user_session_keys')
             AND attname = 'moved_at' AND NOT attisdropped) AS yes",
    )
    .await?;
    let mark = if marked { "moved_at" } else { "NULL::timestamptz" };
    source
        .batch_execute(&format!(
            "DECLARE older NO SCROLL CURSOR FOR
             SELECT ctid::text AS place, coalesce(id::text, 'a row without an id') AS id,
                 coalesce(user_id::text, '') AS user_id, coalesce(device_id::text, '') AS device_id,
                 coalesce(key_id::text, '') AS key_id, coalesce(key_data::text, '') AS key_data,
                 coalesce(created_at::timestamptz, now()) AS created_at,
                 coalesce(updated_at::timestamptz, created_at::timestamptz, now()) AS updated_at
             FROM user_session_keys WHERE {mark} IS NULL
             ORDER BY user_session_keys.user_id::text, user_session_keys.device_id::text,
                 8 DESC, 7 DESC, user_session_keys.id"
        ))
        .await?;
    let query = format!("SELECT count(*) AS rows, count({mark}) AS settled FROM user_session_keys");
    diesel::sql_query(query).get_result(source).await
}

/// The next rows; none at the end.
pub(super) async fn fetch(source: &mut AsyncPgConnection) -> QueryResult<Vec<OlderKey>> {
    diesel::sql_query(format!("FETCH {BATCH} FROM older")).load(source).await
}

/// Marks rows as settled. One that somebody has written meanwhile stands elsewhere by now: the next
/// run looks at it again.
pub(super) async fn mark(
    connection: &mut AsyncPgConnection,
    rows: &[&OlderKey],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let (places, ids): (Vec<&str>, Vec<&str>) =
        rows.iter().map(|row| (row.place.as_str(), row.id.as_str())).unzip();
    diesel::sql_query(
        "UPDATE user_session_keys AS k SET moved_at = $3
         FROM unnest($1::tid[], $2) AS r (place, id) WHERE k.ctid = r.place AND k.id::text = r.id",
    )
    .bind::<Array<Text>, _>(places)
    .bind::<Array<Text>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .execute(connection)
    .await
}
