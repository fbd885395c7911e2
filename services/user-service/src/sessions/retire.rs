//! The end of keys that no session signs with: those that an import moved in serve the tokens of
//! the older layout, until their device signs in again, their person ends everything, or their
//! time is over.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use crate::error::Error;
use crate::models::auth_session::{self, Which};
use crate::models::key_change::{self, ChangeKind, NewKeyChange};
use crate::models::key_retirement;
use crate::models::published_key;
use crate::models::user_keyset::{self, Keyset};
use crate::state::State;

/// How long verifiers are told of such a key: nobody knows how long the older tokens live. The key
/// itself is gone at once.
const ANNOUNCED: TimeDelta = TimeDelta::days(1);

/// Retires what an end of sessions leaves in the keyset that belonged to no session.
pub(super) async fn without_session(
    connection: &mut AsyncPgConnection,
    which: Which,
    keyset: &mut Keyset,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let kept = match which {
        Which::Device(_) | Which::All => None,
        Which::AllBut(_) if keyset.keys.len() <= 1 => return Ok(()),
        Which::AllBut(id) => auth_session::find(connection, id).await?.and_then(|kept| kept.kid),
        Which::Family(_) | Which::Expired(_) | Which::IdlestBeyond(_) => return Ok(()),
    };
    let keys = keyset.keys.iter().filter(|key| match which {
        Which::Device(device) => key.device_id == device,
        _ => kept.as_ref() != Some(&key.kid),
    });
    let kids = keys.map(|key| key.kid.clone()).collect();
    retire(connection, kids, keyset, now).await
}

async fn retire(
    connection: &mut AsyncPgConnection,
    kids: Vec<String>,
    keyset: &mut Keyset,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    if kids.is_empty() {
        return Ok(());
    }
    let until = now + ANNOUNCED;
    keyset.keys.retain(|key| !kids.contains(&key.kid));
    let changes: Vec<NewKeyChange> =
        kids.iter().map(|kid| NewKeyChange::new(ChangeKind::Kid, kid, until)).collect();
    let kids: Vec<(String, DateTime<Utc>)> = kids.into_iter().map(|kid| (kid, until)).collect();
    published_key::revoke(connection, &kids).await?;
    key_change::insert(connection, &changes).await?;
    Ok(())
}

/// Retires up to `batch` keys whose time is over and says how many it looked at.
pub async fn retire_due(state: &State, batch: i64) -> Result<usize, Error> {
    let mut connection = state.pool.get().await?;
    let due = retire_batch(&mut connection, state.clock.now(), batch).await?;
    if !due.is_empty() {
        state.hub.wake();
        state.signing.forget(due.iter().map(|(_, kid)| kid.as_str()));
    }
    Ok(due.len())
}

/// The same without a service around it; answers users and key ids.
pub async fn retire_batch(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<Vec<(Uuid, String)>> {
    let due = key_retirement::list_due(connection, now, batch).await?;
    for (user, kid) in &due {
        connection
            .transaction(async |connection| retire_one(connection, *user, kid, now).await)
            .await?;
    }
    Ok(due)
}

/// A key that a session signs with by now ends with that session instead.
async fn retire_one(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    kid: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let mut keyset = user_keyset::lock(connection, user, now).await?;
    let live = auth_session::lock_live(connection, user, Which::All).await?;
    if live.iter().any(|session| session.kid.as_deref() == Some(kid)) {
        key_retirement::keep(connection, kid).await?;
    } else {
        retire(connection, vec![kid.to_owned()], &mut keyset, now).await?;
    }
    user_keyset::save(connection, user, &keyset, now).await
}
