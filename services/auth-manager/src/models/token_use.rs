//! `token_uses`: the ledger of draws.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::token_uses;

/// A use as read.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = token_uses)]
pub struct TokenUse {
    /// Order.
    pub id: i64,
    /// The client that asked.
    pub client_id: String,
    /// The scope it asked for; empty: it named none.
    pub scope: String,
    /// `cached`, `refreshed`, or an error's code.
    pub outcome: String,
    /// When.
    pub used_at: DateTime<Utc>,
}

/// A use to be written.
#[derive(Clone, Debug)]
pub struct NewTokenUse {
    /// Which id.
    pub persistent_token_id: Uuid,
    /// Whose id.
    pub user_id: Uuid,
    /// The client that asked.
    pub client_id: String,
    /// The scope it asked for.
    pub scope: String,
    /// What came of it.
    pub outcome: &'static str,
    /// When.
    pub used_at: DateTime<Utc>,
}

/// A user who has gone in the meantime must not take everybody's entries along. Ids are given in
/// the order of the draws, which is what the ledger is read in.
const INSERT: &str = "\
    INSERT INTO token_uses (persistent_token_id, user_id, client_id, scope, outcome, used_at)
    SELECT token_id, entry.user_id, client_id, scope, outcome, used_at
    FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
        AS entry (token_id, user_id, client_id, scope, outcome, used_at, place)
    JOIN users ON users.id = entry.user_id ORDER BY entry.place";

/// Another replica that holds a row is writing nearly the same time.
const TOUCH_TOKENS: &str = "\
    UPDATE persistent_tokens SET last_used_at = entry.used_at
    FROM unnest($1, $2) AS entry (token_id, used_at)
    WHERE persistent_tokens.id = entry.token_id
      AND persistent_tokens.id IN
          (SELECT id FROM persistent_tokens WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED)
      AND (last_used_at IS NULL OR last_used_at < entry.used_at)";

const TOUCH_GRANTS: &str = "\
    UPDATE auth_vault SET last_access_at = $2
    WHERE id IN (SELECT auth_vault.id FROM auth_vault
                 JOIN persistent_tokens ON persistent_tokens.grant_id = auth_vault.id
                 WHERE persistent_tokens.id = ANY ($1)
                   AND auth_vault.last_access_at < $2 - interval '1 minute'
                 FOR UPDATE OF auth_vault SKIP LOCKED)";

/// Writes a batch of uses.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    uses: &[NewTokenUse],
) -> QueryResult<usize> {
    let tokens: Vec<_> = uses.iter().map(|entry| entry.persistent_token_id).collect();
    let owners: Vec<_> = uses.iter().map(|entry| entry.user_id).collect();
    let clients: Vec<_> = uses.iter().map(|entry| &entry.client_id).collect();
    let scopes: Vec<_> = uses.iter().map(|entry| &entry.scope).collect();
    let outcomes: Vec<_> = uses.iter().map(|entry| entry.outcome).collect();
    let times: Vec<_> = uses.iter().map(|entry| entry.used_at).collect();
    let statement = diesel::sql_query(INSERT)
        .bind::<Array<SqlUuid>, _>(tokens)
        .bind::<Array<SqlUuid>, _>(owners)
        .bind::<Array<Text>, _>(clients)
        .bind::<Array<Text>, _>(scopes)
        .bind::<Array<Text>, _>(outcomes)
        .bind::<Array<Timestamptz>, _>(times);
    prepared(statement).execute(connection).await
}

/// Notes when ids were last used, and their grants, those once a minute at most.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    last_used: &BTreeMap<Uuid, DateTime<Utc>>,
) -> QueryResult<()> {
    let Some(latest) = last_used.values().max() else { return Ok(()) };
    let tokens: Vec<_> = last_used.keys().collect();
    let times: Vec<_> = last_used.values().collect();
    let touch_tokens = diesel::sql_query(TOUCH_TOKENS)
        .bind::<Array<SqlUuid>, _>(&tokens)
        .bind::<Array<Timestamptz>, _>(&times);
    prepared(touch_tokens).execute(connection).await?;
    let touch_grants = diesel::sql_query(TOUCH_GRANTS)
        .bind::<Array<SqlUuid>, _>(&tokens)
        .bind::<Timestamptz, _>(latest);
    prepared(touch_grants).execute(connection).await?;
    Ok(())
}

/// Uses of an id that was `user`'s, newest first, those before `before`.
pub async fn list(
    connection: &mut AsyncPgConnection,
    token: Uuid,
    user: Uuid,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<TokenUse>> {
    use token_uses::dsl;
    dsl::token_uses
        .select(TokenUse::as_select())
        .filter(dsl::persistent_token_id.eq(token))
        .filter(dsl::user_id.eq(user))
        .filter(dsl::id.lt(before.unwrap_or(i64::MAX)))
        .order(dsl::id.desc())
        .limit(limit)
        .load(connection)
        .await
}

/// Removes up to `batch` uses before `time`.
pub async fn delete_before(
    connection: &mut AsyncPgConnection,
    time: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "token_uses", "used_at <= $1", time, batch).await
}
