//! `security_events`: what happened to accounts, sessions and keys.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::schema::security_events;

/// An event to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = security_events)]
pub struct NewSecurityEvent {
    /// What happened.
    pub kind: &'static str,
    /// Whose account.
    pub user_id: Option<Uuid>,
    /// In which session.
    pub session_id: Option<Uuid>,
    /// On which device.
    pub device_id: Option<Uuid>,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// What else, naming nobody.
    pub details: Value,
    /// What else.
    pub personal: Value,
    /// What is written once a minute.
    pub once: Option<Vec<u8>>,
}

/// An event as stored.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = security_events)]
pub struct SecurityEvent {
    /// Order of writing.
    pub id: i64,
    /// What happened.
    pub kind: String,
    /// By the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// Whose account.
    pub user_id: Option<Uuid>,
    /// In which session.
    pub session_id: Option<Uuid>,
    /// On which device.
    pub device_id: Option<Uuid>,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// What else, naming nobody.
    pub details: Value,
    /// What else.
    pub personal: Value,
    /// None once forgotten.
    pub salt: Option<Uuid>,
    /// Place in the chain; none until linked.
    pub position: Option<i64>,
    /// Digest of what is personal.
    pub personal_digest: Option<Vec<u8>>,
    /// Link to the former row.
    pub link: Option<Vec<u8>>,
    /// Which key made it.
    pub key_version: Option<i16>,
    /// Who forgot it was one of us.
    pub forgotten_seal: Option<Vec<u8>>,
}

/// A row's place in the chain.
#[derive(Clone, Debug)]
pub struct Linked {
    /// Which row.
    pub id: i64,
    /// Place.
    pub position: i64,
    /// Digest of what is personal.
    pub personal_digest: [u8; 32],
    /// Link to the former row.
    pub link: [u8; 32],
    /// Which key made it.
    pub key_version: i16,
}

/// Writes one event; what was written this minute already is left at that.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    event: NewSecurityEvent,
) -> QueryResult<usize> {
    let writing =
        diesel::insert_into(security_events::table).values(event).on_conflict_do_nothing();
    prepared(writing).execute(connection).await
}

/// The same for many, in the order of what is written once: replicas write the same at once.
pub async fn insert_all(
    connection: &mut AsyncPgConnection,
    mut events: Vec<NewSecurityEvent>,
) -> QueryResult<usize> {
    // What may come often keeps its order.
    events.sort_by(|one, other| one.once.cmp(&other.once));
    diesel::insert_into(security_events::table)
        .values(events)
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Rows that are not yet linked, `limit` at most.
pub async fn list_pending(
    connection: &mut AsyncPgConnection,
    limit: i64,
) -> QueryResult<Vec<SecurityEvent>> {
    use security_events::dsl;
    dsl::security_events
        .select(SecurityEvent::as_select())
        .filter(dsl::position.is_null())
        .order(dsl::id)
        .limit(limit)
        .load(connection)
        .await
}

/// Whether any row is not yet linked.
pub async fn any_pending(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    use security_events::dsl;
    let pending = dsl::security_events.filter(dsl::position.is_null());
    diesel::select(diesel::dsl::exists(pending)).get_result(connection).await
}

/// How many rows are not yet linked.
pub async fn count_pending(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    use security_events::dsl;
    dsl::security_events.filter(dsl::position.is_null()).count().get_result(connection).await
}

/// Links rows.
pub async fn link(connection: &mut AsyncPgConnection, rows: &[Linked]) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE security_events AS e SET position = l.position, personal_digest = l.digest,
             link = l.link, key_version = l.version
         FROM unnest($1, $2, $3, $4, $5) AS l (id, position, digest, link, version)
         WHERE e.id = l.id AND e.position IS NULL",
    )
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.position).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(rows.iter().map(|row| &row.personal_digest[..]).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(rows.iter().map(|row| &row.link[..]).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(rows.iter().map(|row| row.key_version).collect::<Vec<_>>())
    .execute(connection)
    .await
}

/// Linked rows after `position` in the chain's order, `limit` at most.
pub async fn list_linked(
    connection: &mut AsyncPgConnection,
    position: i64,
    limit: i64,
) -> QueryResult<Vec<SecurityEvent>> {
    use security_events::dsl;
    dsl::security_events
        .select(SecurityEvent::as_select())
        .filter(dsl::position.gt(position))
        .order(dsl::position)
        .limit(limit)
        .load(connection)
        .await
}

/// Links by their places.
pub async fn list_links(
    connection: &mut AsyncPgConnection,
    positions: &[i64],
) -> QueryResult<Vec<(Option<i64>, Option<Vec<u8>>)>> {
    use security_events::dsl;
    dsl::security_events
        .select((dsl::position, dsl::link))
        .filter(dsl::position.eq_any(positions))
        .load(connection)
        .await
}

/// Linked rows whose time is over.
#[derive(Clone, Debug)]
pub struct Past {
    /// Of which kinds.
    pub kinds: Vec<&'static str>,
    /// Of each, not those that are older than this.
    pub since: Vec<DateTime<Utc>>,
    /// Of each, those that are older than this.
    pub before: Vec<DateTime<Utc>>,
    /// Those that come after a time and an id.
    pub after: Option<(DateTime<Utc>, i64)>,
}

/// The first of `past`, the oldest first, `limit` at most.
pub async fn list_past(
    connection: &mut AsyncPgConnection,
    past: &Past,
    limit: i64,
) -> QueryResult<Vec<SecurityEvent>> {
    let (time, id) = past.after.unwrap_or((DateTime::UNIX_EPOCH, i64::MIN));
    diesel::sql_query(
        "SELECT past.* FROM unnest($1, $2, $3) AS due (kind, since, before), LATERAL (
             SELECT * FROM security_events AS e
             WHERE e.kind = due.kind AND e.position IS NOT NULL
                 AND e.occurred_at >= due.since AND e.occurred_at < due.before
                 AND (e.occurred_at, e.id) > ($4, $5)
             ORDER BY e.occurred_at, e.id LIMIT $6
         ) AS past ORDER BY past.occurred_at, past.id LIMIT $6",
    )
    .bind::<Array<Text>, _>(&past.kinds)
    .bind::<Array<Timestamptz>, _>(&past.since)
    .bind::<Array<Timestamptz>, _>(&past.before)
    .bind::<Timestamptz, _>(time)
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(limit)
    .load(connection)
    .await
}

/// What there is of a kind.
#[derive(Clone, Debug, QueryableByName)]
pub struct KindCount {
    /// Which.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// How many rows.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
    /// The oldest's time.
    #[diesel(sql_type = Timestamptz)]
    pub oldest: DateTime<Utc>,
    /// How many of them are past.
    #[diesel(sql_type = BigInt)]
    pub due: i64,
}

/// What there is, by kind; of `kinds`, what is older than `before` is past.
pub async fn count_by_kind(
    connection: &mut AsyncPgConnection,
    kinds: &[&str],
    before: &[DateTime<Utc>],
) -> QueryResult<Vec<KindCount>> {
    diesel::sql_query(
        "SELECT e.kind, count(*) AS rows, min(e.occurred_at) AS oldest,
             count(*) FILTER (WHERE e.occurred_at < due.before) AS due
         FROM security_events AS e LEFT JOIN unnest($1, $2) AS due (kind, before) USING (kind)
         GROUP BY e.kind ORDER BY e.kind",
    )
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Timestamptz>, _>(before)
    .load(connection)
    .await
}

/// Removes rows.
pub async fn delete(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<usize> {
    use security_events::dsl;
    diesel::delete(dsl::security_events.filter(dsl::id.eq_any(ids))).execute(connection).await
}

/// Rows of `user` after `id`, `limit` at most.
pub async fn list_of_user(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    id: i64,
    limit: i64,
) -> QueryResult<Vec<SecurityEvent>> {
    use security_events::dsl;
    dsl::security_events
        .select(SecurityEvent::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::id.gt(id))
        .order(dsl::id)
        .limit(limit)
        .load(connection)
        .await
}

/// Blanks what is personal in a row, and its salt.
pub async fn forget(
    connection: &mut AsyncPgConnection,
    id: i64,
    seal: &[u8],
) -> QueryResult<usize> {
    use security_events::dsl;
    diesel::update(dsl::security_events.find(id))
        .set((
            dsl::user_id.eq(None::<Uuid>),
            dsl::session_id.eq(None::<Uuid>),
            dsl::device_id.eq(None::<Uuid>),
            dsl::address.eq(None::<String>),
            dsl::user_agent.eq(None::<String>),
            dsl::personal.eq(json!({})),
            dsl::salt.eq(None::<Uuid>),
            dsl::forgotten_seal.eq(seal),
        ))
        .execute(connection)
        .await
}
