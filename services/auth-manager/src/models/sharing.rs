//! `auth_vault` together with the ids on it: who shares what a provider revokes as one. To be
//! asked under the locks of `vault::lock`.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, exists, not, select, sql};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::grant::{Grant, GrantKey, GrantState, TokenType};
use super::user_session;
use crate::schema::{auth_vault, persistent_tokens, provider_calls, user_sessions};

/// Which grants are meant.
#[derive(Clone, Copy, Debug)]
pub enum GrantFilter<'a> {
    /// Those of an account at a provider.
    Account(Uuid),
    /// Those of a user.
    User(Uuid),
    /// Those of a provider's session.
    Session {
        /// The provider's name in the configuration.
        provider: &'a str,
        /// The grant's own sid.
        session_state_id: &'a str,
        /// Of one type only.
        token_type: Option<TokenType>,
    },
}

/// Ids that would lose their grant if one token were revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharers {
    /// On the same grant.
    pub same_grant: usize,
    /// On another row with the same token.
    pub same_token: usize,
    /// On the grant of the other token type of the same client and session.
    pub same_session: usize,
}

impl Sharers {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.same_grant + self.same_token + self.same_session
    }
}

/// Grants that one revocation at the provider ends together: of the same client and session,
/// whatever the type, or with the same token.
async fn list_together(
    connection: &mut AsyncPgConnection,
    grant: &Grant,
) -> QueryResult<Vec<Uuid>> {
    use auth_vault::dsl;
    let same_session = dsl::subject
        .eq(&grant.subject)
        .and(dsl::client_id.eq(&grant.client_id))
        .and(dsl::session_state_id.eq(&grant.session_state_id));
    dsl::auth_vault
        .select(dsl::id)
        .filter(dsl::provider.eq(&grant.provider))
        .filter(same_session.or(dsl::token_hash.eq(&grant.token_hash)))
        .load(connection)
        .await
}

/// Counts who shares with `grant`; ids on other grants count while those are any good.
pub async fn count_sharers(
    connection: &mut AsyncPgConnection,
    grant: &Grant,
    now: DateTime<Utc>,
) -> QueryResult<Sharers> {
    use auth_vault::dsl;
    let good = [GrantState::Live.as_str(), GrantState::OutcomeUnknown.as_str()];
    let together = list_together(connection, grant).await?;
    let rows: Vec<(Uuid, Vec<u8>, i64)> = dsl::auth_vault
        .inner_join(persistent_tokens::table)
        .filter(dsl::id.eq_any(together))
        .filter(dsl::id.eq(grant.id).or(dsl::state.eq_any(good).and(is_unexpired(now))))
        .group_by((dsl::id, dsl::token_hash))
        .select((dsl::id, dsl::token_hash, count_star()))
        .load(connection)
        .await?;
    Ok(sum(grant, &rows))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn is_unexpired(now: DateTime<Utc>) -> _ {
    let ends: auth_vault::grant_expires_at = auth_vault::grant_expires_at;
    ends.is_null().or(ends.assume_not_null().gt(now))
}

fn sum(grant: &Grant, rows: &[(Uuid, Vec<u8>, i64)]) -> Sharers {
    let mut sharers = Sharers::default();
    for (id, token_hash, ids) in rows {
        let ids = usize::try_from(*ids).unwrap_or(usize::MAX);
        match (*id == grant.id, *token_hash == grant.token_hash) {
            (true, _) => sharers.same_grant += ids,
            (false, true) => sharers.same_token += ids,
            (false, false) => sharers.same_session += ids,
        }
    }
    sharers
}

/// Grants to be revoked together with `grant`, itself included, that wait for no call yet: those
/// that gave their last id up while others still shared.
pub async fn list_unqueued(
    connection: &mut AsyncPgConnection,
    grant: &Grant,
) -> QueryResult<Vec<Grant>> {
    use auth_vault::dsl;
    let together = list_together(connection, grant).await?;
    let queued = provider_calls::table.filter(provider_calls::grant_id.eq(dsl::id.nullable()));
    dsl::auth_vault
        .select(Grant::as_select())
        .filter(dsl::id.eq_any(together))
        .filter(dsl::state.eq(GrantState::Revoking.as_str()))
        .filter(not(exists(queued)))
        .order(dsl::id)
        .load(connection)
        .await
}

/// Grants that were given up and wait for no call yet, in the order of their ids, those after
/// `after`.
pub async fn list_waiting(
    connection: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<Uuid>> {
    use auth_vault::dsl;
    let queued = provider_calls::table.filter(provider_calls::grant_id.eq(dsl::id.nullable()));
    dsl::auth_vault
        .select(dsl::id)
        // Not a parameter, so that the plan knows of the index for these.
        .filter(dsl::state.eq(sql::<Text>("'revoking'")))
        .filter(dsl::id.gt(after))
        .filter(not(exists(queued)))
        .order(dsl::id)
        .limit(limit)
        .load(connection)
        .await
}

/// The grants that `filter` means.
pub async fn list_matching(
    connection: &mut AsyncPgConnection,
    filter: GrantFilter<'_>,
) -> QueryResult<Vec<Grant>> {
    use auth_vault::dsl;
    let mut grants = dsl::auth_vault.select(Grant::as_select()).order(dsl::id).into_boxed();
    match filter {
        GrantFilter::Account(account) => grants = grants.filter(dsl::account_id.eq(account)),
        GrantFilter::User(user) => grants = grants.filter(dsl::user_id.eq(user)),
        GrantFilter::Session { provider, session_state_id, token_type } => {
            grants = grants
                .filter(dsl::provider.eq(provider))
                .filter(dsl::session_state_id.eq(session_state_id));
            if let Some(token_type) = token_type {
                grants = grants.filter(dsl::token_type.eq(token_type.as_str()));
            }
        }
    }
    grants.load(connection).await
}

/// Grants of `user` that belong to a session at `provider`, by their own sid or by the one that
/// consent was asked from, newest first.
pub async fn list_of_session(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    provider: &str,
    session_state_id: &str,
) -> QueryResult<Vec<Grant>> {
    use auth_vault::dsl;
    let of_session = dsl::session_state_id
        .eq(session_state_id)
        .or(dsl::consent_session_id.is_not_distinct_from(session_state_id));
    dsl::auth_vault
        .select(Grant::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::provider.eq(provider))
        .filter(of_session)
        .order((dsl::updated_at.desc(), dsl::id))
        .load(connection)
        .await
}

/// Online grants of `user` at `provider` that were not given up yet.
pub async fn list_online(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    provider: &str,
) -> QueryResult<Vec<Grant>> {
    use auth_vault::dsl;
    dsl::auth_vault
        .select(Grant::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::provider.eq(provider))
        .filter(dsl::token_type.eq(TokenType::Refresh.as_str()))
        .filter(dsl::state.ne(GrantState::Revoking.as_str()))
        .order(dsl::id)
        .load(connection)
        .await
}

/// Gives a grant up, unless it is already: from now on only the outbox presents its token.
pub async fn mark_revoking(
    connection: &mut AsyncPgConnection,
    grant: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use auth_vault::dsl;
    let kept = dsl::auth_vault.find(grant).filter(dsl::state.ne(GrantState::Revoking.as_str()));
    diesel::update(kept)
        .set((
            dsl::state.eq(GrantState::Revoking.as_str()),
            dsl::dead_reason.eq(None::<String>),
            dsl::updated_at.eq(now),
        ))
        .execute(connection)
        .await
}

/// Deletes grants with all that hangs on them.
pub async fn delete(connection: &mut AsyncPgConnection, grants: &[Uuid]) -> QueryResult<usize> {
    diesel::delete(auth_vault::table.filter(auth_vault::id.eq_any(grants)))
        .execute(connection)
        .await
}

/// Whether any grant of ours stands at `key` that is neither dead nor expired.
pub async fn has_grant(
    connection: &mut AsyncPgConnection,
    key: &GrantKey<'_>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_vault::dsl;
    let grants = dsl::auth_vault
        .filter(dsl::provider.eq(key.provider))
        .filter(dsl::subject.eq(key.subject))
        .filter(dsl::client_id.eq(key.client_id))
        .filter(dsl::session_state_id.eq(key.session_state_id))
        .filter(dsl::state.ne(GrantState::Dead.as_str()).and(is_unexpired(now)));
    select(exists(grants)).get_result(connection).await
}

/// Whether ending the provider's session would take something from somebody: a live session of
/// ours, or a grant that is neither dead nor expired.
pub async fn session_is_in_use(
    connection: &mut AsyncPgConnection,
    provider: &str,
    session_state_id: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_vault::dsl;
    let sessions = user_sessions::table
        .filter(user_sessions::provider.eq(provider))
        .filter(user_sessions::provider_session_id.eq(session_state_id))
        .filter(user_sessions::active.and(user_session::is_unexpired(now)));
    let grants = dsl::auth_vault
        .filter(dsl::provider.eq(provider))
        .filter(dsl::session_state_id.eq(session_state_id))
        .filter(dsl::state.ne(GrantState::Dead.as_str()).and(is_unexpired(now)));
    Ok(select(exists(sessions)).get_result(connection).await?
        || select(exists(grants)).get_result(connection).await?)
}
