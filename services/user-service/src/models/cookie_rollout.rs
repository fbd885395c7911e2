//! `cookie_rollout`: one row, which share of sessions gets the newer cookies.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::cookie_rollout;

/// The latest decision.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = cookie_rollout, treat_none_as_null = true)]
pub struct CookieRollout {
    /// Percent.
    pub share: i16,
    /// Raised by each decision.
    pub revision: i64,
    /// Who decided: `settings`, `operator` or `step_back`.
    pub decided_by: String,
    /// Why a step back.
    pub reason: Option<String>,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// The latest decision; none before the first start.
pub async fn find(connection: &mut AsyncPgConnection) -> QueryResult<Option<CookieRollout>> {
    let only = cookie_rollout::table.select(CookieRollout::as_select());
    only.first(connection).await.optional()
}

/// Decides where nobody has yet.
pub async fn begin(
    connection: &mut AsyncPgConnection,
    decision: &CookieRollout,
) -> QueryResult<usize> {
    diesel::insert_into(cookie_rollout::table)
        .values(decision)
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Decides anew, `decision.revision` being one more than what was read; false where somebody else
/// has decided since.
pub async fn replace(
    connection: &mut AsyncPgConnection,
    decision: &CookieRollout,
) -> QueryResult<bool> {
    let read = cookie_rollout::table.filter(cookie_rollout::revision.eq(decision.revision - 1));
    Ok(diesel::update(read).set(decision).execute(connection).await? == 1)
}
