//! `key_changes`: the change feed.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::delete_batch;
use crate::schema::key_changes;

/// What a change names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A key id.
    Kid,
    /// A session id.
    Sid,
    /// A token id.
    Jti,
}

impl ChangeKind {
    /// As stored, and as the event's member is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kid => "kid",
            Self::Sid => "sid",
            Self::Jti => "jti",
        }
    }
}

/// A revocation to be announced.
#[derive(Debug)]
pub struct NewKeyChange {
    kind: &'static str,
    value: String,
    until: DateTime<Utc>,
}

impl NewKeyChange {
    /// `until`: when the last token that this could concern is past.
    #[must_use]
    pub fn new(kind: ChangeKind, value: &impl ToString, until: DateTime<Utc>) -> Self {
        Self { kind: kind.as_str(), value: value.to_string(), until }
    }
}

/// A revocation as stored.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = key_changes)]
pub struct KeyChange {
    /// Order within its transaction.
    pub id: i64,
    /// The transaction that wrote it.
    pub transaction_id: i64,
    /// `kid`, `sid` or `jti`.
    pub kind: String,
    /// What is revoked.
    pub value: String,
    /// When that no longer matters.
    pub until: DateTime<Utc>,
    /// When it was revoked.
    pub created_at: DateTime<Utc>,
}

/// Announces revocations; to be called in the transaction that revokes.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    changes: &[NewKeyChange],
) -> QueryResult<usize> {
    let (kinds, values): (Vec<&str>, Vec<&str>) =
        changes.iter().map(|change| (change.kind, change.value.as_str())).unzip();
    let untils: Vec<DateTime<Utc>> = changes.iter().map(|change| change.until).collect();
    let announcing = diesel::sql_query(
        "INSERT INTO key_changes (kind, value, until)
         SELECT * FROM unnest($1, $2, $3)",
    )
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Text>, _>(values)
    .bind::<Array<Timestamptz>, _>(untils);
    prepared(announcing).execute(connection).await
}

/// Whether the access token `jti` was revoked by itself.
pub async fn names_token(connection: &mut AsyncPgConnection, jti: &str) -> QueryResult<bool> {
    use key_changes::dsl;
    // A literal, so that the partial index serves prepared statements too.
    let named = dsl::key_changes.filter(sql::<Bool>("kind = 'jti'")).filter(dsl::value.eq(jti));
    diesel::select(diesel::dsl::exists(named)).get_result(connection).await
}

/// Where the feed stands.
#[derive(Clone, Debug, QueryableByName)]
pub struct FeedState {
    /// Names this database in its present life; positions of another mean nothing here.
    #[diesel(sql_type = Text)]
    pub epoch: String,
    /// The oldest transaction that may still be running: below it nothing can appear any more.
    #[diesel(sql_type = BigInt)]
    pub horizon: i64,
    /// The first transaction not yet begun.
    #[diesel(sql_type = BigInt)]
    pub next: i64,
    /// Transactions between the two that were still running.
    #[diesel(sql_type = Array<BigInt>)]
    pub running: Vec<i64>,
}

impl FeedState {
    /// Whether a reading in this state saw what `transaction` wrote.
    #[must_use]
    pub fn shows(&self, transaction: i64) -> bool {
        transaction < self.next && !self.running.contains(&transaction)
    }
}

/// Reads where the feed stands. Read it before the changes: what commits in between then counts
/// as unsettled, never as sent.
pub async fn state(connection: &mut AsyncPgConnection) -> QueryResult<FeedState> {
    let reading = diesel::sql_query(
        "SELECT substr(md5(concat_ws('/', system_identifier, timeline_id, d.oid)), 1, 8) AS epoch,
                pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
                ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint) AS running
         FROM pg_control_system(), pg_control_checkpoint(), pg_database d
         WHERE d.datname = current_database()",
    );
    prepared(reading).get_result(connection).await
}

/// Changes after `(transaction, id)` in order, those that still matter at `now`, `limit` at most.
pub async fn list_after(
    connection: &mut AsyncPgConnection,
    (transaction, id): (i64, i64),
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<KeyChange>> {
    use key_changes::dsl;
    // Compared as a row, the index begins there: what lies before is not walked over for each page.
    let after = sql::<Bool>("(transaction_id, id) > (")
        .bind::<BigInt, _>(transaction)
        .sql(", ")
        .bind::<BigInt, _>(id)
        .sql(")");
    dsl::key_changes
        .select(KeyChange::as_select())
        .filter(after)
        .filter(dsl::until.gt(now))
        .order((dsl::transaction_id, dsl::id))
        .limit(limit)
        .load(connection)
        .await
}

/// A change and its age.
#[derive(Clone, Debug, QueryableByName)]
pub struct UnseenChange {
    /// As stored.
    #[diesel(embed)]
    pub change: KeyChange,
    /// Seconds since it was written, by the database's clock.
    #[diesel(sql_type = Double)]
    pub age: f64,
}

/// The same for changes that a reading in the state `seen` can't have shown. What lies behind a
/// transaction that stays open is not read again and again: each transaction that was running, and
/// those begun since, are looked for by themselves.
pub async fn list_unseen(
    connection: &mut AsyncPgConnection,
    seen: &FeedState,
    cursor: (i64, i64),
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<UnseenChange>> {
    let (next, next_id) = cursor.max((seen.next, 0));
    let (running, ids): (Vec<i64>, Vec<i64>) = seen
        .running
        .iter()
        .filter(|transaction| **transaction >= cursor.0)
        .map(|transaction| (*transaction, if *transaction == cursor.0 { cursor.1 } else { 0 }))
        .unzip();
    let listing = diesel::sql_query(LIST_UNSEEN)
        .bind::<BigInt, _>(next)
        .bind::<BigInt, _>(next_id)
        .bind::<Array<BigInt>, _>(running)
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Timestamptz, _>(now)
        .bind::<BigInt, _>(limit);
    prepared(listing).load(connection).await
}

/// Every condition is a range of the index that the order is of: no other plan looks cheaper, however
/// little is known of the values when the statement is planned.
const LIST_UNSEEN: &str = "
    SELECT c.*, EXTRACT(EPOCH FROM clock_timestamp() - c.created_at)::float8 AS age
    FROM ((
        SELECT * FROM key_changes WHERE (transaction_id, id) > ($1, $2) AND until > $5
        ORDER BY transaction_id, id LIMIT $6
    ) UNION ALL
        SELECT of_one.* FROM unnest($3, $4) AS running (transaction_id, id), LATERAL (
            SELECT * FROM key_changes AS c
            WHERE (c.transaction_id, c.id) > (running.transaction_id, running.id)
                AND (c.transaction_id, c.id) < (running.transaction_id + 1, 0) AND c.until > $5
            ORDER BY c.transaction_id, c.id LIMIT $6
        ) AS of_one
    ) AS c ORDER BY transaction_id, id LIMIT $6";

/// Removes up to `batch` changes that no longer matter.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "key_changes", "until <= $1", now, batch).await
}
