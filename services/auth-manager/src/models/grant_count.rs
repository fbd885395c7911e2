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

/// Counts all grants; an index alone serves it.
pub async fn count(connection: &mut AsyncPgConnection) -> QueryResult<Vec<GrantCount>> {
    use auth_vault::dsl;
    let by = (dsl::token_type, dsl::state, dsl::sealing_key_id);
    dsl::auth_vault
        .group_by(by)
        .select((dsl::token_type, dsl::state, dsl::sealing_key_id, count_star()))
        .load(connection)
        .await
}
