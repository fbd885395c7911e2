//! A token's way into the vault. Two things may be under way against the same grant at that
//! moment: a revocation that was decided and not begun is cancelled, since it must never end a new
//! grant; one whose call has begun is waited for, and then the token is tried once.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::discard::discard;
use super::fresh::AccessToken;
use super::lock::{self, lock_all};
use super::new_grant::NewGrant;
use super::seal::{access_token_identity, token_identity};
use super::share::release;
use super::surely::{surely, void_if_unlinked};
use super::trial::Incoming;
use crate::error::Error;
use crate::models::drawn_token::{self, DrawnToken};
use crate::models::grant::{Grant, TokenType};
use crate::models::persistent_token::{self, PersistentToken};
use crate::models::provider_call;
use crate::models::{grant_upsert, sharing, user_session};
use crate::state::State;

/// Where it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The row.
    pub grant_id: Uuid,
    /// A new id on it.
    pub persistent_token_id: Uuid,
}

/// Stores a token: in the place of the one that its natural key has, or on its own, or not at all
/// where the same token is there already; and makes an id on it. Again where the database fails,
/// since nobody else has the token; one that can't be stored in the end is revoked.
/// [`Error::ConsentRequired`] where a revocation has just ended it, [`Error::InvalidStateToken`] where
/// its account was unlinked or the session that asked for it has ended meanwhile.
pub async fn store_grant(state: &State, new: &NewGrant<'_>) -> Result<StoredGrant, Error> {
    // One for all attempts, since a commit may have been heard though its answer was not.
    let (id, incoming) = (Uuid::new_v4(), Mutex::new(Incoming::new(new)));
    let stored = surely(&state.clock, async || {
        let stored = store_in_turn(state, new, id, &mut *incoming.lock().await).await;
        stored.map_err(void_if_unlinked).inspect_err(|error| {
            if let Error::Database(_) | Error::Pool(_) = error {
                tracing::error!(user_id = %new.user_id, persistent_token_id = %id, %error, "token_not_stored");
            }
        })
    })
    .await;
    if let (Err(Error::Database(_) | Error::Pool(_) | Error::InvalidStateToken), Some(provider)) =
        (&stored, state.providers.get(new.provider))
    {
        discard(state, provider, &new.key(), &incoming.into_inner().token).await;
    }
    stored
}

/// Waits while a call against the same grant or session is under way.
async fn store_in_turn(
    state: &State,
    new: &NewGrant<'_>,
    id: Uuid,
    incoming: &mut Incoming,
) -> Result<StoredGrant, Error> {
    loop {
        let mut connection = state.pool.get().await?;
        let grant_id = connection
            .transaction(async |connection| store_once(state, connection, new, id, incoming).await)
            .await?;
        drop(connection);
        if let Some(grant_id) = grant_id {
            state.outbox.wake();
            return Ok(StoredGrant { grant_id, persistent_token_id: id });
        }
        incoming.suspect = true;
        state.outbox.wait_for_an_end().await;
    }
}

/// The row's id; none while a call against the same grant or session is under way.
async fn store_once(
    state: &State,
    connection: &mut AsyncPgConnection,
    new: &NewGrant<'_>,
    id: Uuid,
    incoming: &mut Incoming,
) -> Result<Option<Uuid>, Error> {
    check_session(connection, new).await?;
    let replaced = lock_for(state, connection, new).await?;
    let now = state.clock.now();
    let calls = provider_call::list_concerning(connection, &new.key(), now).await?;
    if calls.iter().any(|call| call.under_way(now).is_some()) {
        return Ok(None);
    }
    // A call that has begun may have ended this token, even one whose answer never came.
    incoming.suspect |= calls.iter().any(|call| call.attempts > 0);
    if incoming.suspect {
        incoming.try_out(state, new).await?;
    }
    let ids: Vec<Uuid> = calls.iter().map(|call| call.id).collect();
    provider_call::delete(connection, &ids).await?;
    let grant_id = put(state, connection, new, incoming, now).await?;
    replace_online(connection, grant_id, &replaced, now).await?;
    add_id(connection, new, id, grant_id, now).await?;
    Ok(Some(grant_id))
}

/// Whoever ends the session from now on waits until the grant is there. First of all locks, as its
/// ends have it. One that only its time has ended goes on as long as the provider says so.
async fn check_session(
    connection: &mut AsyncPgConnection,
    new: &NewGrant<'_>,
) -> Result<(), Error> {
    let Some(sid) = new.asked_from else { return Ok(()) };
    let session = user_session::lock_against_end(connection, new.provider, sid).await?;
    let has_ended = session.is_some_and(|session| !session.active && !session.has_expired());
    if has_ended { Err(Error::InvalidStateToken) } else { Ok(()) }
}

/// Takes all locks in their order. Answers the online grants that this one replaces.
async fn lock_for(
    state: &State,
    connection: &mut AsyncPgConnection,
    new: &NewGrant<'_>,
) -> Result<Vec<Grant>, Error> {
    let mut replaced = Vec::new();
    if state.settings.vault.one_online_grant && new.token_type == TokenType::Refresh {
        let user = lock::online_grants(new.user_id, new.provider);
        lock_all(connection, [user].into()).await?;
        replaced = sharing::list_online(connection, new.user_id, new.provider).await?;
        replaced.retain(|grant| grant.key() != new.key());
    }
    let key = new.key();
    let mut names = BTreeSet::from([lock::session(&key), lock::identity(&key)]);
    names.extend(replaced.iter().map(|grant| lock::identity(&grant.key())));
    lock_all(connection, names).await?;
    let hash = state.hasher.hash(new.token.expose().as_bytes());
    let mut names = BTreeSet::from([lock::token(&hash)]);
    names.extend(replaced.iter().map(|grant| lock::token(&grant.token_hash)));
    lock_all(connection, names).await?;
    Ok(replaced)
}

/// Writes row and access token; answers the row's id.
async fn put(
    state: &State,
    connection: &mut AsyncPgConnection,
    new: &NewGrant<'_>,
    incoming: &Incoming,
    now: DateTime<Utc>,
) -> Result<Uuid, Error> {
    let row = row(state, new, incoming, now);
    let hash = &row.token_hash;
    let known = grant_upsert::find_duplicate(connection, new.user_id, new.provider, hash).await?;
    if let Some(known) = known.filter(|known| known.key() != new.key()) {
        return Ok(known.id);
    }
    let id = grant_upsert::upsert(connection, &row).await?;
    grant_upsert::delete_foreign_ids(connection, id, new.user_id).await?;
    drawn_token::delete_of_grant(connection, id).await?;
    if let Some(AccessToken { token, obtained_at, expires_at }) = &incoming.access {
        let identity = access_token_identity(&new.key(), new.token_type, "");
        let sealed = state.keyring.seal(&identity, token.expose().as_bytes());
        let drawn = DrawnToken {
            grant_id: id,
            scope: String::new(),
            sealing_key_id: sealed.key_id().to_owned(),
            sealed_access_token: sealed.into_bytes(),
            obtained_at: *obtained_at,
            expires_at: *expires_at,
        };
        drawn_token::upsert(connection, &drawn).await?;
    }
    Ok(id)
}

fn row(state: &State, new: &NewGrant<'_>, incoming: &Incoming, now: DateTime<Utc>) -> Grant {
    let token = incoming.token.expose().as_bytes();
    let sealed = state.keyring.seal(&token_identity(&new.key(), new.token_type), token);
    Grant {
        id: Uuid::new_v4(),
        user_id: new.user_id,
        account_id: new.account_id,
        provider: new.provider.to_owned(),
        subject: new.subject.to_owned(),
        client_id: new.client_id.to_owned(),
        session_state_id: new.session_state_id.to_owned(),
        consent_session_id: new
            .asked_from
            .filter(|asked| *asked != new.session_state_id)
            .map(str::to_owned),
        token_type: new.token_type.as_str().to_owned(),
        sealing_key_id: sealed.key_id().to_owned(),
        encrypted_token: sealed.into_bytes(),
        token_hash: state.hasher.hash(token).to_vec(),
        scope: new.scope.to_owned(),
        metadata: new.metadata.clone(),
        grant_expires_at: incoming.grant_expires_at,
        state: incoming.state.as_str().to_owned(),
        dead_reason: None,
        version: 0,
        presentations: incoming.presentations,
        lease_holder: None,
        lease_until: None,
        call_deadline: None,
        created_at: now,
        updated_at: now,
        last_access_at: now,
    }
}

/// The ids of what is replaced go on with the new grant; the old ones are revoked.
async fn replace_online(
    connection: &mut AsyncPgConnection,
    grant_id: Uuid,
    replaced: &[Grant],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let replaced: Vec<&Grant> = replaced.iter().filter(|grant| grant.id != grant_id).collect();
    let ids: Vec<Uuid> = replaced.iter().map(|grant| grant.id).collect();
    grant_upsert::move_ids(connection, &ids, grant_id).await?;
    for grant in replaced {
        release(connection, grant, now, now).await?;
    }
    Ok(())
}

async fn add_id(
    connection: &mut AsyncPgConnection,
    new: &NewGrant<'_>,
    id: Uuid,
    grant_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let token = PersistentToken {
        id,
        grant_id,
        user_id: new.user_id,
        session_state_id: new
            .asked_from
            .filter(|asked| *asked != new.session_state_id)
            .unwrap_or(new.session_state_id)
            .to_owned(),
        created_at: now,
        last_used_at: None,
    };
    persistent_token::insert(connection, &token).await?;
    Ok(())
}
