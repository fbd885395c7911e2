//! `persistent_tokens`: the ids that callers hold.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::drawn_token::DrawnToken;
use super::grant::GrantHead;
use crate::schema::{auth_vault, drawn_tokens, persistent_tokens};

/// An id on a grant.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = persistent_tokens)]
pub struct PersistentToken {
    /// What callers hold.
    pub id: Uuid,
    /// What it draws on.
    pub grant_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The sid of the session that it was made in.
    pub session_state_id: String,
    /// Made.
    pub created_at: DateTime<Utc>,
    /// Last draw.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Adds an id, unless it is there.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    token: &PersistentToken,
) -> QueryResult<usize> {
    diesel::insert_into(persistent_tokens::table)
        .values(token)
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Whose an id is.
pub async fn find_user(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Uuid>> {
    let user = persistent_tokens::table.find(id).select(persistent_tokens::user_id);
    user.first(connection).await.optional()
}

/// An id of `user`.
pub async fn find_of_user(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    user: Uuid,
) -> QueryResult<Option<PersistentToken>> {
    persistent_tokens::table
        .find(id)
        .filter(persistent_tokens::user_id.eq(user))
        .select(PersistentToken::as_select())
        .first(connection)
        .await
        .optional()
}

/// All that draws need, in one query: each of `ids` that there is, with its grant and the access
/// tokens last drawn from that for `scopes`, one in a row; a row without where there is none.
pub async fn list_for_draws(
    connection: &mut AsyncPgConnection,
    ids: impl IntoIterator<Item = Uuid>,
    scopes: impl IntoIterator<Item = &str>,
) -> QueryResult<Vec<(Uuid, GrantHead, Option<DrawnToken>)>> {
    let scopes: Vec<_> = scopes.into_iter().map(str::to_owned).collect();
    let asked = drawn_tokens::grant_id.eq(auth_vault::id).and(drawn_tokens::scope.eq_any(scopes));
    persistent_tokens::table
        .inner_join(auth_vault::table)
        .left_join(drawn_tokens::table.on(asked))
        .filter(persistent_tokens::id.eq_any(ids))
        .select((persistent_tokens::id, GrantHead::as_select(), Option::<DrawnToken>::as_select()))
        .load(connection)
        .await
}

/// Ids of `user` with their grants, newest first, those made before `before`.
pub async fn list_of_user(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<(PersistentToken, GrantHead)>> {
    use persistent_tokens::dsl;
    let mut own = dsl::persistent_tokens
        .inner_join(auth_vault::table)
        .select((PersistentToken::as_select(), GrantHead::as_select()))
        .filter(dsl::user_id.eq(user))
        .order((dsl::created_at.desc(), dsl::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        own = own.filter(dsl::created_at.lt(time).or(dsl::created_at.eq(time).and(dsl::id.lt(id))));
    }
    own.load(connection).await
}

/// Removes an id, if it still is on `grant`.
pub async fn delete_from_grant(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    grant: Uuid,
) -> QueryResult<usize> {
    let token = persistent_tokens::table.find(id).filter(persistent_tokens::grant_id.eq(grant));
    diesel::delete(token).execute(connection).await
}

/// How many ids the grants have.
pub async fn count_of_grants(
    connection: &mut AsyncPgConnection,
    grants: &[Uuid],
) -> QueryResult<i64> {
    let ids = persistent_tokens::table.filter(persistent_tokens::grant_id.eq_any(grants));
    ids.count().get_result(connection).await
}

/// Removes all ids on `grants`.
pub async fn delete_of_grants(
    connection: &mut AsyncPgConnection,
    grants: &[Uuid],
) -> QueryResult<usize> {
    diesel::delete(persistent_tokens::table.filter(persistent_tokens::grant_id.eq_any(grants)))
        .execute(connection)
        .await
}
