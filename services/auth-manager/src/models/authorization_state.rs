//! `authorization_states`: authorization requests under way.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use crate::schema::authorization_states;

/// A request under way.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = authorization_states)]
pub struct AuthorizationState {
    /// Random; the signed state token carries it.
    pub id: Vec<u8>,
    /// `sign_in`, `link` or `consent`.
    pub kind: String,
    /// The provider asked.
    pub provider: String,
    /// SHA-256 of the browser's cookie; none for consent.
    pub browser_hash: Option<Vec<u8>>,
    /// Who asked, for link and consent.
    pub user_id: Option<Uuid>,
    /// The subject that must come back, for consent.
    pub subject: Option<String>,
    /// The session that asked, for consent.
    pub session_state_id: Option<String>,
    /// The PKCE verifier, sealed.
    pub sealed_verifier: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// Nonce that the id token must carry.
    pub nonce: String,
    /// Where the browser goes after sign-in.
    pub return_to: Option<String>,
    /// Asked.
    pub created_at: DateTime<Utc>,
    /// Until when it may come back.
    pub expires_at: DateTime<Utc>,
}

/// Stores a request.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    state: &AuthorizationState,
) -> QueryResult<usize> {
    diesel::insert_into(authorization_states::table).values(state).execute(connection).await
}

/// Takes a request out, if it is of one of `kinds`, not too old, and, where it is bound to a
/// browser, that one's; whatever is taken can't be taken again.
pub async fn take(
    connection: &mut AsyncPgConnection,
    id: &[u8],
    kinds: &[&str],
    browser_hash: Option<&[u8]>,
    now: DateTime<Utc>,
) -> QueryResult<Option<AuthorizationState>> {
    use authorization_states::dsl;
    let bound = dsl::browser_hash.is_null().or(dsl::browser_hash.eq(browser_hash));
    let mine = dsl::authorization_states
        .find(id)
        .filter(dsl::kind.eq_any(kinds))
        .filter(dsl::expires_at.gt(now))
        .filter(bound.assume_not_null());
    diesel::delete(mine)
        .returning(AuthorizationState::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// Deletes a batch of those that can't come back any more.
pub async fn delete_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "authorization_states", "expires_at <= $1", now, batch).await
}
