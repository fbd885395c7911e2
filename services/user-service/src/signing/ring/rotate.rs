//! Changes of the ring, each a transaction of its own under the ring's advisory lock.

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::rfc3339;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::super::LARGEST_LEEWAY;
use super::super::store::KeyStores;
use crate::config::Settings;
use crate::error::Error;
use crate::models::key_change::{self, ChangeKind, NewKeyChange};
use crate::models::service_key::{self, CURRENT, NEXT, RETIRED, REVOKED, ServiceKey};

/// Retired keys that are published at most.
const RETIRED_AT_MOST: usize = 2;

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

/// Why the ring is to be rotated.
#[derive(Clone, Debug)]
pub enum Occasion {
    /// Somebody wants another current key than this one.
    Planned {
        /// The current key's id, as they saw it.
        current: String,
    },
    /// The current key, and those before it, may be in wrong hands: they are revoked.
    Emergency {
        /// The current key's id, as they saw it.
        current: String,
    },
    /// Time is over for keys that have signed since `before` or longer.
    Due {
        /// When.
        before: DateTime<Utc>,
    },
}

/// A rotation that was done.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The key that signs now.
    pub current: String,
    /// Since when it is published.
    pub published_at: DateTime<Utc>,
    /// The key that did.
    pub former: String,
    /// Until when the former verifies, unless it was revoked.
    pub until: DateTime<Utc>,
    /// All that were revoked.
    pub revoked: Vec<String>,
    /// The new key; none where it could not be made yet.
    pub next: Option<String>,
}

/// Why a rotation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else did it meanwhile.
    #[error("somebody else rotated the keys just now")]
    ByAnother,
    /// The current key is not old enough.
    #[error("the current key is not old enough")]
    NotDue,
    /// As many retired keys as may be published are still needed.
    #[error("two retired keys still verify, the older one until {}; wait for that", rfc3339(*.0))]
    TooManyRetired(DateTime<Utc>),
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<diesel::result::Error> for Refused {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether the ring has all that it needs.
pub(super) fn is_whole(keys: &[ServiceKey]) -> bool {
    find(keys, CURRENT).is_some() && find(keys, NEXT).is_some()
}

fn find<'a>(keys: &'a [ServiceKey], state: &str) -> Option<&'a ServiceKey> {
    keys.iter().find(|key| key.state == state)
}

/// Makes what the ring lacks, in the caller's transaction, and answers it whole.
pub async fn fill(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<Vec<ServiceKey>, Error> {
    service_key::lock(connection).await?;
    let keys = service_key::list_published(connection, now).await?;
    if find(&keys, CURRENT).is_none() {
        if find(&keys, NEXT).is_none() {
            insert_new(connection, stores, rules, now).await?;
        }
        service_key::activate_next(connection, now).await?;
    }
    if !is_whole(&keys) {
        insert_new(connection, stores, rules, now).await?;
    }
    Ok(service_key::list_published(connection, now).await?)
}

/// Brings the ring in line with a replica's settings, at its start.
pub(super) async fn prepare(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    connection
        .transaction(async |connection| {
            let keys = fill(connection, stores, rules, now).await?;
            // It has never signed, and would be of another kind than what is wanted now.
            if find(&keys, NEXT).is_some_and(|next| !stores.would_make(next)) {
                service_key::delete_next(connection).await?;
                insert_new(connection, stores, rules, now).await?;
            }
            service_key::note_token_life(connection, rules.token_life).await?;
            Ok(())
        })
        .await
}

async fn insert_new(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<String, Error> {
    let key = stores.make(NEXT, rules.token_life, now).await?;
    service_key::insert(connection, &key).await?;
    Ok(key.kid)
}

/// Next becomes current, current retired or revoked, and a new next key is made.
pub async fn rotate(
    connection: &mut AsyncPgConnection,
    stores: &KeyStores,
    rules: Rules,
    occasion: &Occasion,
    now: DateTime<Utc>,
) -> Result<Rotation, Refused> {
    connection
        .transaction(async |connection| {
            let keys = fill(connection, stores, rules, now).await?;
            let (current, next) = decide(&keys, occasion)?;
            let emergency = matches!(occasion, Occasion::Emergency { .. });
            let revoked = if emergency {
                revoke(connection, &keys, rules, now).await?
            } else {
                let until = rules.end(current, now, rules.leeway);
                service_key::end(connection, &current.kid, RETIRED, now, until).await?;
                Vec::new()
            };
            service_key::activate_next(connection, now).await?;
            let made = insert_new(connection, stores, rules, now).await;
            Ok(Rotation {
                current: next.kid.clone(),
                published_at: next.published_at,
                former: current.kid.clone(),
                until: rules.end(current, now, rules.leeway),
                revoked,
                next: made.map(Some).or_else(|error| without_next(emergency, error))?,
            })
        })
        .await
}

/// An emergency does not wait for a new key: the services make it as soon as they can.
fn without_next(emergency: bool, error: Error) -> Result<Option<String>, Error> {
    match error {
        Error::SignerUnavailable(reason) | Error::Internal(reason) if emergency => {
            tracing::warn!(reason, "next_service_key_not_made");
            Ok(None)
        }
        error => Err(error),
    }
}

/// The current and the next key, where `occasion` permits a rotation.
fn decide<'a>(
    keys: &'a [ServiceKey],
    occasion: &Occasion,
) -> Result<(&'a ServiceKey, &'a ServiceKey), Refused> {
    let lacking = || Refused::Failed(Error::Internal("the ring is not whole".to_owned()));
    let current = find(keys, CURRENT).ok_or_else(lacking)?;
    match occasion {
        Occasion::Planned { current: seen } | Occasion::Emergency { current: seen }
            if *seen != current.kid =>
        {
            return Err(Refused::ByAnother);
        }
        Occasion::Due { before } if current.activated_at.is_some_and(|since| since > *before) => {
            return Err(Refused::NotDue);
        }
        Occasion::Planned { .. } | Occasion::Emergency { .. } | Occasion::Due { .. } => {}
    }
    let retired: Vec<_> = keys.iter().filter(|key| key.state == RETIRED).collect();
    if retired.len() >= RETIRED_AT_MOST && !matches!(occasion, Occasion::Emergency { .. }) {
        let first = retired.iter().filter_map(|key| key.until).min().unwrap_or_default();
        return Err(Refused::TooManyRetired(first));
    }
    Ok((current, find(keys, NEXT).ok_or_else(lacking)?))
}

/// Whatever has signed until now is refused from now on, by verifiers too.
async fn revoke(
    connection: &mut AsyncPgConnection,
    keys: &[ServiceKey],
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<Vec<String>, Error> {
    let mut changes = Vec::new();
    let mut revoked = Vec::new();
    for key in keys.iter().filter(|key| key.state != NEXT) {
        let until = rules.end(key, now, LARGEST_LEEWAY);
        service_key::end(connection, &key.kid, REVOKED, now, until).await?;
        changes.push(NewKeyChange::new(ChangeKind::Kid, &key.kid, until));
        revoked.push(key.kid.clone());
    }
    key_change::insert(connection, &changes).await?;
    Ok(revoked)
}
