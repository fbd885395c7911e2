//! `logout_tokens`: back-channel logout tokens seen.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::delete_batch;
use crate::schema::logout_tokens;

/// Remembers a token; false where it was seen before.
pub async fn remember(
    connection: &mut AsyncPgConnection,
    issuer: &str,
    jti: &str,
    expires_at: DateTime<Utc>,
) -> QueryResult<bool> {
    let inserted = diesel::insert_into(logout_tokens::table)
        .values((
            logout_tokens::issuer.eq(issuer),
            logout_tokens::jti.eq(jti),
            logout_tokens::expires_at.eq(expires_at),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}

/// Whether a token was heard before.
pub async fn is_known(
    connection: &mut AsyncPgConnection,
    issuer: &str,
    jti: &str,
) -> QueryResult<bool> {
    let known = logout_tokens::table.find((issuer, jti));
    diesel::select(diesel::dsl::exists(known)).get_result(connection).await
}

/// Deletes a batch of those that would be refused by their age anyway.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "logout_tokens", "expires_at <= $1", now, batch).await
}
