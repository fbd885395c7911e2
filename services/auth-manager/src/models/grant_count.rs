//! `auth_vault`, counted for operators.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::auth_vault;

/// Grants that have these in common.
#[derive(Debug, Queryable)]
pub struct GrantCount {
    /// See [`super::grant::TokenType`].
    pub token_type: String,
    /// See [`super::grant::GrantState`].
    pub state: String,
    /// Which key of the ring sealed the token.
    pub sealing_key_id: String,
    /// How many.
    pub rows: i64,
}

/// Counts all grants. Groups are in the order of `auth_vault_by_sealing_key`, so that PostgreSQL
/// reads that index once and sorts nothing, which a million rows notice.
pub async fn count(connection: &mut AsyncPgConnection) -> QueryResult<Vec<GrantCount>> {
    use auth_vault::dsl;
    dsl::auth_vault
        .group_by((dsl::sealing_key_id, dsl::token_type, dsl::state))
        .select((dsl::token_type, dsl::state, dsl::sealing_key_id, count_star()))
        .load(connection)
        .await
}
