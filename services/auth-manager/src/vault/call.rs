//! One call of the outbox: begun under the locks where it still is to be made, made without any,
//! and its end written under them again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::lock::{self, lock_all, lock_grants};
use super::outcome::Outcome;
use super::share::{Fate, busy_until};
use super::tell::{Told, tell};
use crate::error::Error;
use crate::models::grant::{self, Grant, GrantState};
use crate::models::provider_call::{self, CallKind, ProviderCall};
use crate::models::sharing;
use crate::state::State;

/// Beyond its own timeout, before others take a call for abandoned.
const SLACK: Duration = Duration::from_secs(5);
/// An ended call is remembered for longer than any token obtained before its end stays on its way
/// into the vault.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::minutes(2);
/// A caller who queued something makes the call; the table's readers leave it to them this long.
pub(super) const HEAD_START: TimeDelta = TimeDelta::seconds(10);

/// A call that is marked as begun.
struct Begun {
    entry: ProviderCall,
    until: Option<DateTime<Utc>>,
}

/// Made, and nothing followed; by somebody else perhaps.
const MADE: Outcome = Outcome::Made { session_ended: false, session_pending: false };

enum Beginning {
    Begun(Box<Begun>),
    Not(Outcome),
}

/// Makes the call, and the one that follows where a session ends with its last grant.
pub(super) async fn make_all(state: &State, id: Uuid) -> Result<Outcome, Error> {
    let (outcome, next) = make(state, id).await?;
    let Some(next) = next else { return Ok(outcome) };
    let (ended, _) = make(state, next).await?;
    Ok(Outcome::Made {
        session_ended: matches!(ended, Outcome::Made { .. }),
        session_pending: matches!(ended, Outcome::InUse | Outcome::Away | Outcome::Refused),
    })
}

async fn make(state: &State, id: Uuid) -> Result<(Outcome, Option<Uuid>), Error> {
    let begun = match begin(state, id).await? {
        Beginning::Begun(begun) => begun,
        Beginning::Not(outcome) => return Ok((outcome, None)),
    };
    let told = tell(state, &begun.entry).await?;
    let ended = end(state, &begun, told).await;
    state.outbox.tell_of_an_end();
    ended
}

/// Takes the locks, looks again whether the call is still to be made, and marks it as begun.
async fn begin(state: &State, id: Uuid) -> Result<Beginning, Error> {
    let mut connection = state.pool.get().await?;
    let window = state.settings.providers.timeout.0 + SLACK;
    connection
        .transaction(async |connection| {
            let now = state.clock.now();
            let Some(entry) = lock_entry(connection, id).await? else {
                return Ok(Beginning::Not(Outcome::Withdrawn));
            };
            if entry.state == "ended" {
                return Ok(Beginning::Not(MADE));
            }
            if entry.under_way(now).is_some() {
                return Ok(Beginning::Not(Outcome::InUse));
            }
            if let Some(outcome) = decide(connection, &entry, now).await? {
                return Ok(Beginning::Not(outcome));
            }
            let until = provider_call::begin(connection, id, now + window).await?;
            Ok(Beginning::Begun(Box::new(Begun { entry, until })))
        })
        .await
}

/// The entry as it is once nobody else can change it; none where there is nothing to be made.
async fn lock_entry(
    connection: &mut AsyncPgConnection,
    id: Uuid,
) -> Result<Option<ProviderCall>, Error> {
    let Some(entry) = provider_call::find(connection, id).await? else { return Ok(None) };
    match (entry.kind(), entry.grant_id) {
        (CallKind::Revoke, Some(grant_id)) => {
            let grant = grant::find(connection, grant_id).await?;
            lock_grants(connection, grant.as_slice()).await?;
        }
        (CallKind::Revoke, None) => {}
        (CallKind::EndSession, _) => {
            lock_all(connection, [lock::session(&entry.key())].into()).await?;
        }
    }
    Ok(provider_call::find(connection, id).await?)
}

/// What there is to be said before the call; none: it is to be made.
async fn decide(
    connection: &mut AsyncPgConnection,
    entry: &ProviderCall,
    now: DateTime<Utc>,
) -> Result<Option<Outcome>, Error> {
    let Some(grant_id) = entry.grant_id else {
        let (provider, session) = (&entry.provider, &entry.session_state_id);
        if sharing::session_is_in_use(connection, provider, session, now).await? {
            provider_call::delete(connection, &[entry.id]).await?;
            return Ok(Some(Outcome::Withdrawn));
        }
        return Ok(None);
    };
    let grant = grant::find(connection, grant_id).await?;
    let revoking = grant.filter(|grant| grant.state() == GrantState::Revoking);
    let Some(grant) = revoking else {
        provider_call::delete(connection, &[entry.id]).await?;
        return Ok(Some(Outcome::Withdrawn));
    };
    if let Some(until) = busy_until(&grant, now) {
        let last_error = entry.last_error.as_deref();
        provider_call::postpone(connection, entry.id, until, last_error).await?;
        return Ok(Some(Outcome::InUse));
    }
    drop_if_shared(connection, entry, &grant, now).await
}

/// Counts the sharers again.
async fn drop_if_shared(
    connection: &mut AsyncPgConnection,
    entry: &ProviderCall,
    grant: &Grant,
    now: DateTime<Utc>,
) -> Result<Option<Outcome>, Error> {
    let sharers = sharing::count_sharers(connection, grant, now).await?;
    match Fate::decide(&sharers, false) {
        Fate::Revoke => return Ok(None),
        Fate::Forget => sharing::delete(connection, &[grant.id]).await?,
        Fate::Stay | Fate::Wait => provider_call::delete(connection, &[entry.id]).await?,
    };
    Ok(Some(Outcome::Shared(sharers)))
}

/// Writes the end in one transaction; answers the entry that follows, if one does.
async fn end(state: &State, begun: &Begun, told: Told) -> Result<(Outcome, Option<Uuid>), Error> {
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            let now = state.clock.now();
            let entry = lock_entry(connection, begun.entry.id).await?;
            // Somebody took it over because we were gone for too long.
            let Some(entry) = entry.filter(|entry| entry.calling_until == begun.until) else {
                return Ok((Outcome::InUse, None));
            };
            match told {
                Told::Failed { word, pause, outcome } => {
                    let next_at = now + pause;
                    provider_call::postpone(connection, entry.id, next_at, Some(word)).await?;
                    Ok((outcome, None))
                }
                Told::Heard(version) => settle(state, connection, &entry, version, now).await,
            }
        })
        .await
}

async fn settle(
    state: &State,
    connection: &mut AsyncPgConnection,
    entry: &ProviderCall,
    version: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(Outcome, Option<Uuid>), Error> {
    let grant = match entry.grant_id {
        Some(grant_id) => grant::find(connection, grant_id).await?,
        None => None,
    };
    if grant.as_ref().is_some_and(|grant| Some(grant.version) != version) {
        // Another token arrived during the call, and it is not the one that was revoked.
        provider_call::postpone(connection, entry.id, now, None).await?;
        return Ok((Outcome::InUse, None));
    }
    provider_call::end(connection, entry.id, now + REMEMBERED).await?;
    let Some(grant) = grant else { return Ok((MADE, None)) };
    sharing::delete(connection, &[grant.id]).await?;
    tracing::info!(provider = grant.provider, user_id = %grant.user_id, "grant_revoked");
    let next = queue_end_of_session(state, connection, entry, now).await?;
    Ok((MADE, next))
}

/// Where configuration says so and nobody has anything of the session any more.
async fn queue_end_of_session(
    state: &State,
    connection: &mut AsyncPgConnection,
    entry: &ProviderCall,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, Error> {
    let provider = state.providers.get(&entry.provider);
    let can = provider.is_some_and(|provider| provider.can_end_sessions());
    let (name, session) = (&entry.provider, &entry.session_state_id);
    if !state.settings.vault.end_session
        || !can
        || session.is_empty()
        || sharing::session_is_in_use(connection, name, session, now).await?
    {
        return Ok(None);
    }
    let call = ProviderCall::new(CallKind::EndSession, &entry.key(), None, now + HEAD_START, now);
    Ok(provider_call::insert(connection, &call).await?)
}
