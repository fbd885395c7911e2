//! `password_parameters`: what the floor under failed logins is measured by.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::password_parameters;

/// All sets of parameters that a stored hash may have.
pub async fn list(connection: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    password_parameters::table.select(password_parameters::parameters).load(connection).await
}

/// Remembers a set before the first hash with it is stored.
pub async fn remember(
    connection: &mut AsyncPgConnection,
    parameters: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::insert_into(password_parameters::table)
        .values((
            password_parameters::parameters.eq(parameters),
            password_parameters::first_used_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}
