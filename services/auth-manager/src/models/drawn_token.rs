//! `drawn_tokens`: the access token last obtained from a grant, by scope asked for.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::drawn_tokens;

/// A stored access token.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = drawn_tokens)]
pub struct DrawnToken {
    /// From which grant.
    pub grant_id: Uuid,
    /// Asked for: sorted, space separated; empty: the grant's own.
    pub scope: String,
    /// The sealed access token.
    pub sealed_access_token: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// When the provider gave it.
    pub obtained_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Puts a token in the place of the one before.
pub async fn upsert(connection: &mut AsyncPgConnection, token: &DrawnToken) -> QueryResult<usize> {
    diesel::insert_into(drawn_tokens::table)
        .values(token)
        .on_conflict((drawn_tokens::grant_id, drawn_tokens::scope))
        .do_update()
        .set(token)
        .execute(connection)
        .await
}

/// Removes what was drawn from a grant.
pub async fn delete_of_grant(
    connection: &mut AsyncPgConnection,
    grant: Uuid,
) -> QueryResult<usize> {
    diesel::delete(drawn_tokens::table.filter(drawn_tokens::grant_id.eq(grant)))
        .execute(connection)
        .await
}

/// Removes up to `batch` tokens that have expired.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "drawn_tokens", "expires_at <= $1", now, batch).await
}
