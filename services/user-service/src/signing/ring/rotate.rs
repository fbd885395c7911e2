//! Changes of the ring, each a transaction of its own under the ring's advisory lock; none of them
//! waits for the place where keys are made. Their times are the database's, not those of whichever
//! machine makes them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::json;
use tokio::time::timeout;

use super::super::LARGEST_LEEWAY;
use super::super::store::{KeyStores, MAKING, NewKey};
pub use super::decide::{CLIENTS_CACHE, Occasion, Refused};
use super::decide::{decide, find};
use crate::audit::{self, Event, Kind};
use crate::config::Settings;
use crate::error::Error;
use crate::models::key_change::{self, ChangeKind, NewKeyChange};
use crate::models::service_key::{self, CURRENT, NEXT, RETIRED, REVOKED, ServiceKey};

/// A replica that has not heard of a rotation yet may sign with the former key for so long.
const HEARD_WITHIN: TimeDelta = TimeDelta::seconds(15);

/// How long keys matter after they have signed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    token_life: i64,
    leeway: TimeDelta,
}

impl Rules {
    /// Of a service with these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { token_life: settings.token.life.as_secs(), leeway: settings.token.leeway.as_delta() }
    }

    /// When a key's last token has expired everywhere.
    fn end(self, key: &ServiceKey, now: DateTime<Utc>, leeway: TimeDelta) -> DateTime<Utc> {
        let life = TimeDelta::seconds(key.token_life.max(self.token_life));
        now + life + leeway + HEARD_WITHIN
    }
}

/// A rotation that was done.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The key that signs now; none after an emergency that left no next one.
    pub current: Option<String>,
    /// Since when that is published.
    pub published_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub rotated_at: DateTime<Utc>,
    /// The key that did.
    pub former: String,
    /// Until when the former verifies, unless it was revoked.
    pub until: DateTime<Utc>,
    /// All that were revoked.
    pub revoked: Vec<String>,
    /// The new key; none where it is not made yet.
    pub next: Option<String>,
}

impl Rotation {
    /// Takes over which keys the ring has by now.
    pub(crate) fn note(&mut self, keys: &[ServiceKey]) {
        let current = find(keys, CURRENT);
        self.current = current.map(|key| key.kid.clone());
        self.published_at = current.map(|key| key.published_at);
        self.next = find(keys, NEXT).map(|key| key.kid.clone());
    }
}

/// Whether the ring has all that it needs.
pub(crate) fn is_whole(keys: &[ServiceKey]) -> bool {
    find(keys, CURRENT).is_some() && find(keys, NEXT).is_some()
}

/// Makes what the ring lacks, and answers it whole.
pub(crate) async fn fill(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    clock: &Clock,
) -> Result<Vec<ServiceKey>, Error> {
    loop {
        let keys = service_key::list_unrevoked(connection).await?;
        if is_whole(&keys) {
            return Ok(keys);
        }
        make_next(connection, stores, rules, clock, |_| true).await?;
    }
}

/// Brings the ring in line with a replica's settings, at its start.
pub(super) async fn prepare(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    clock: &Clock,
) -> Result<(), Error> {
    // Before anything that a store may keep from being done: tokens of that life are signed at once.
    service_key::note_token_life(connection, rules.token_life).await?;
    fill(connection, stores, rules, clock).await?;
    // One of another kind than what is wanted now has never signed, and need not.
    make_next(connection, stores, rules, clock, |next| stores.would_make(next)).await
}

/// Makes a next key unless there is one that `will_do`, and lets it sign where none does.
async fn make_next(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    clock: &Clock,
    will_do: impl Fn(&ServiceKey) -> bool + Send + Sync,
) -> Result<(), Error> {
    while let Some(late) = try_make_next(connection, stores, rules, clock, &will_do).await? {
        tracing::info!(kid = late.kid(), "service_key_made_in_vain");
        remove(stores, &late).await;
    }
    Ok(())
}

/// The same; but a key that was made while somebody changed the ring is not added and is answered:
/// an emergency may have come between, and no key that is older may sign after it.
///
/// Of several who would make one the others wait; who rotates waits for none of them.
async fn try_make_next(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    clock: &Clock,
    will_do: &(impl Fn(&ServiceKey) -> bool + Send + Sync),
) -> Result<Option<NewKey>, Error> {
    let lacks = |keys: &[ServiceKey]| !find(keys, NEXT).is_some_and(will_do);
    connection
        .transaction(async |connection| {
            service_key::lock_making(connection).await?;
            let before = service_key::list_unrevoked(connection).await?;
            let made = if lacks(&before) { Some(make(stores).await?) } else { None };
            service_key::lock(connection).await?;
            let now = service_key::now(connection, clock).await?;
            let keys = service_key::list_unrevoked(connection).await?;
            if made.is_some() && !is_same(&before, &keys) {
                return Ok(made);
            }
            if let Some(made) = made {
                service_key::delete_next(connection).await?;
                let next = made.into_next(rules.token_life, now);
                service_key::insert(connection, &next).await?;
            }
            if find(&keys, CURRENT).is_none() {
                service_key::activate_next(connection, now).await?;
            }
            Ok(None)
        })
        .await
}

/// Whether no key has come, gone or changed its state.
fn is_same(before: &[ServiceKey], after: &[ServiceKey]) -> bool {
    let states = |keys: &[ServiceKey]| -> BTreeSet<(String, String)> {
        keys.iter().map(|key| (key.kid.clone(), key.state.clone())).collect()
    };
    states(before) == states(after)
}

/// Takes a key that is in no ring from where it was made; where that can't be it stays there, and
/// signs nothing.
async fn remove(stores: &KeyStores, key: &NewKey) {
    let removed = timeout(MAKING, stores.remove(key)).await;
    let removed = removed.unwrap_or_else(|_| {
        Err(Error::SignerUnavailable(format!("no answer within {} s", MAKING.as_secs())))
    });
    if let Err(error) = removed {
        tracing::warn!(kid = key.kid(), %error, "service_key_left_behind");
    }
}

async fn make(stores: &KeyStores) -> Result<NewKey, Error> {
    let made = timeout(MAKING, stores.make()).await;
    made.unwrap_or_else(|_| {
        let reason = format!("no key was made within {} s", MAKING.as_secs());
        Err(Error::SignerUnavailable(reason))
    })
}

/// Next becomes current, and current is retired or revoked. Of the database alone: [`fill`] makes
/// the new next key afterwards.
pub(crate) async fn rotate(
    connection: &mut AsyncPgConnection,
    rules: Rules,
    occasion: &Occasion,
    clock: &Clock,
) -> Result<Rotation, Refused> {
    connection
        .transaction(async |connection| {
            service_key::lock(connection).await?;
            // Not before: until now the former key may have signed.
            let now = service_key::now(connection, clock).await?;
            let keys = service_key::list_unrevoked(connection).await?;
            let (current, next) = decide(&keys, occasion, now)?;
            let until = rules.end(current, now, rules.leeway);
            let emergency = matches!(occasion, Occasion::Emergency { .. });
            let revoked = if emergency {
                let stays = |key: &&ServiceKey| next.is_some_and(|next| next.kid == key.kid);
                let others = keys.iter().filter(|key| !stays(key));
                revoke(connection, others, rules, now).await?
            } else {
                service_key::end(connection, &current.kid, RETIRED, now, until).await?;
                Vec::new()
            };
            service_key::activate_next(connection, now).await?;
            let details = json!({ "kid": next.map(|key| &key.kid), "emergency": emergency });
            let event = Event { details, ..Event::new(Kind::KeyRotated) };
            audit::record(connection, &event).await?;
            Ok(Rotation {
                current: next.map(|key| key.kid.clone()),
                published_at: next.map(|key| key.published_at),
                rotated_at: now,
                former: current.kid.clone(),
                until,
                revoked,
                next: None,
            })
        })
        .await
}

/// Whatever is signed with `keys` is refused from now on, by verifiers too.
async fn revoke<'a>(
    connection: &mut AsyncPgConnection,
    keys: impl Iterator<Item = &'a ServiceKey>,
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<Vec<String>, Error> {
    let mut changes = Vec::new();
    let mut revoked = Vec::new();
    for key in keys {
        let until = rules.end(key, now, LARGEST_LEEWAY);
        service_key::end(connection, &key.kid, REVOKED, now, until).await?;
        changes.push(NewKeyChange::new(ChangeKind::Kid, &key.kid, until));
        revoked.push(key.kid.clone());
    }
    key_change::insert(connection, &changes).await?;
    Ok(revoked)
}
