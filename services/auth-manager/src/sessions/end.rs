//! The end of sessions, whoever asks for it.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::ending::{Ending, tell};
use crate::error::Error;
use crate::models::account;
use crate::models::grant::TokenType;
use crate::models::session_event::{self, EventKind};
use crate::models::user_session::{self, UserSession, Which};
use crate::state::State;
use crate::vault::{GrantFilter, has_new_ids, queue_revocations};

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
    let unlinking = unlink_accounts(&mut connection, Whose::Account { user, id }, now);
    let Unlinked { accounts, sessions, .. } = unlinking.await?;
    let [(provider, subject)] = accounts.as_slice() else { return Err(Error::AccountNotFound) };
    after(state, &sessions);
    Ending::Subject(provider.clone(), subject.clone()).forget(state);
    tracing::info!(user_id = %user, account_id = %id, provider, "account_unlinked");
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
    let unlinked = unlink_accounts(connection, Whose::User(user), now).await?;
    let (accounts, sessions) = (unlinked.accounts.len(), unlinked.sessions.len());
    Ok(UnlinkedAll { accounts, sessions, grants: unlinked.grants })
}

/// Which accounts are unlinked.
#[derive(Clone, Copy)]
enum Whose {
    Account { user: Uuid, id: Uuid },
    User(Uuid),
}

struct Unlinked {
    /// The provider and the subject of each.
    accounts: Vec<(String, String)>,
    sessions: Vec<UserSession>,
    grants: usize,
}

/// Until nobody stores anything for the accounts meanwhile.
async fn unlink_accounts(
    connection: &mut AsyncPgConnection,
    whose: Whose,
    now: DateTime<Utc>,
) -> QueryResult<Unlinked> {
    loop {
        let unlinked =
            connection.transaction(async |inner| unlink_once(inner, whose, now).await).await;
        if !matches!(unlinked, Err(QueryError::RollbackTransaction)) {
            return unlinked;
        }
    }
}

/// Takes locks in the order that all have: sessions, grants, accounts. What was stored for an account
/// before that was locked must not outlive it: then all this is undone.
async fn unlink_once(
    connection: &mut AsyncPgConnection,
    whose: Whose,
    now: DateTime<Utc>,
) -> QueryResult<Unlinked> {
    let (user, only, which, filter) = match whose {
        Whose::Account { user, id } => {
            if account::find(connection, user, id).await?.is_none() {
                return Ok(Unlinked { accounts: Vec::new(), sessions: Vec::new(), grants: 0 });
            }
            (user, Some(id), Which::Account(id), GrantFilter::Account(id))
        }
        Whose::User(user) => (user, None, Which::User(user), GrantFilter::User(user)),
    };
    let sessions = end(connection, which, "unlinked", now).await?;
    let grants = queue_revocations(connection, filter, now).await?;
    let accounts = account::lock(connection, user, only).await?;
    let late = user_session::end(connection, which, now).await?;
    if !late.is_empty() || has_new_ids(connection, filter).await? {
        return Err(QueryError::RollbackTransaction);
    }
    if let Some(id) = only {
        account::delete(connection, user, id).await?;
    } else {
        account::delete_by_user(connection, user).await?;
    }
    let endings: Vec<_> =
        accounts.iter().cloned().map(|(of, who)| Ending::Subject(of, who)).collect();
    tell(connection, &endings).await?;
    Ok(Unlinked { accounts, sessions, grants })
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
