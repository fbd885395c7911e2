//! The end of sessions, whoever asks for it.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::ending::{Ending, tell};
use crate::error::Error;
use crate::models::account;
use crate::models::grant::TokenType;
use crate::models::session_event::{self, EventKind};
use crate::models::user_session::{self, UserSession, Which};
use crate::state::State;
use crate::vault::{GrantFilter, queue_revocations};

/// Ends a live session of a user and has its refresh grants revoked at the provider; offline
/// grants go on, since jobs live by them. Says whether there was one.
pub async fn end_by_user(state: &State, user: Uuid, id: Uuid) -> Result<bool, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let ended = connection
        .transaction(async |connection| {
            let ended = end(connection, Which::One(user, id), "user", now).await?;
            for session in &ended {
                clear(connection, session, now).await?;
            }
            clear_accounts(connection, &ended, now).await?;
            QueryResult::Ok(ended)
        })
        .await?;
    after(state, &ended);
    Ok(!ended.is_empty())
}

/// Ends all live sessions of a user, each for itself, since each takes locks of its own.
pub async fn end_all_by_user(state: &State, user: Uuid) -> Result<usize, Error> {
    let now = state.clock.now();
    let ids = user_session::list_live_ids(&mut *state.pool.get().await?, user, now).await?;
    let mut ended = 0;
    for id in ids {
        ended += usize::from(end_by_user(state, user, id).await?);
    }
    Ok(ended)
}

/// Unlinks an account: its sessions end, and all its grants are revoked at the provider.
pub async fn unlink(state: &State, user: Uuid, id: Uuid) -> Result<(), Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let (account, unlinked, ended) = connection
        .transaction(async |connection| {
            let account = account::find(connection, user, id).await?;
            let account = account.ok_or(Error::AccountNotFound)?;
            let ended = end(connection, Which::Account(id), "unlinked", now).await?;
            queue_revocations(connection, GrantFilter::Account(id), now).await?;
            account::delete(connection, user, id).await?;
            let unlinked = Ending::Subject(account.provider.clone(), account.subject.clone());
            tell(connection, std::slice::from_ref(&unlinked)).await?;
            Result::<_, Error>::Ok((account, unlinked, ended))
        })
        .await?;
    after(state, &ended);
    unlinked.forget(state);
    tracing::info!(user_id = %user, account_id = %id, provider = account.provider, "account_unlinked");
    Ok(())
}

/// What an operator's end of all that a user has here came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlinkedAll {
    /// Accounts unlinked.
    pub accounts: usize,
    /// Live sessions ended.
    pub sessions: usize,
    /// Grants given up.
    pub grants: usize,
}

/// Unlinks all accounts of a user: sessions end, grants are given up, and the outbox of the running
/// service has the providers revoke them. For operators; running services forget the user.
pub async fn unlink_all(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<UnlinkedAll> {
    connection
        .transaction(async |connection| {
            let sessions = end(connection, Which::User(user), "unlinked", now).await?.len();
            let grants = queue_revocations(connection, GrantFilter::User(user), now).await?;
            let accounts = account::delete_by_user(connection, user).await?;
            let unlinked = accounts.into_iter();
            let unlinked: Vec<_> =
                unlinked.map(|(provider, subject)| Ending::Subject(provider, subject)).collect();
            tell(connection, &unlinked).await?;
            Ok(UnlinkedAll { accounts: unlinked.len(), sessions, grants })
        })
        .await
}

/// Ends the sessions whose time has run out, each for itself; says how many. Their providers know,
/// and their online grants have expired with them.
pub(crate) async fn end_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let mut count = 0;
    loop {
        let ids = user_session::list_expired(connection, now, batch).await?;
        if ids.is_empty() {
            return Ok(count);
        }
        for id in ids {
            count += connection.transaction(async |inner| expire(inner, id, now).await).await?;
        }
    }
}

async fn expire(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let Some(session) = user_session::expire(connection, id, now).await? else { return Ok(0) };
    let at = session.ended_at.unwrap_or(now);
    session_event::insert(connection, &[id], EventKind::Ended, Some("expired"), at).await?;
    clear_accounts(connection, &[session], now).await?;
    Ok(1)
}

/// Ends the sessions, enters why, and tells all replicas.
pub(super) async fn end(
    connection: &mut AsyncPgConnection,
    which: Which<'_>,
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<Vec<UserSession>> {
    let ended = user_session::end(connection, which, now).await?;
    let ids: Vec<Uuid> = ended.iter().map(|session| session.id).collect();
    if !ids.is_empty() {
        session_event::insert(connection, &ids, EventKind::Ended, Some(reason), now).await?;
    }
    let endings: Vec<_> = ended.iter().filter_map(Ending::of).collect();
    tell(connection, &endings).await?;
    Ok(ended)
}

async fn clear(
    connection: &mut AsyncPgConnection,
    session: &UserSession,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (Some(provider), Some(sid)) = (&session.provider, &session.provider_session_id) else {
        return Ok(());
    };
    let token_type = Some(TokenType::Refresh);
    let filter = GrantFilter::Session { provider, session_state_id: sid, token_type };
    if queue_revocations(connection, filter, now).await? > 0 {
        note_cleared(connection, &[session.id], now).await?;
    }
    Ok(())
}

/// An account's own tokens go with the last session of it.
pub(super) async fn clear_accounts(
    connection: &mut AsyncPgConnection,
    ended: &[UserSession],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let accounts: Vec<Uuid> = ended.iter().filter_map(|session| session.account_id).collect();
    account::clear_tokens(connection, &accounts, now).await
}

/// Enters that the tokens of these are gone.
pub(super) async fn note_cleared(
    connection: &mut AsyncPgConnection,
    cleared: &[Uuid],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    if !cleared.is_empty() {
        session_event::insert(connection, cleared, EventKind::TokensCleared, None, now).await?;
    }
    Ok(())
}

/// Nothing in memory outlives them.
pub(super) fn after(state: &State, ended: &[UserSession]) {
    for session in ended {
        if let Some(ending) = Ending::of(session) {
            ending.forget(state);
        }
        tracing::info!(user_id = %session.user_id, session_id = %session.id, "session_ended");
    }
    state.outbox.wake();
}
