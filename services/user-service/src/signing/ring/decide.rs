//! Whether the ring may be rotated: a decision that needs neither a database nor a clock.

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::rfc3339;

use crate::error::Error;
use crate::models::service_key::{CURRENT, NEXT, RETIRED, ServiceKey};

/// How long clients may go without a look at the key set: a key that signs sooner after it was
/// published is one that they do not know.
pub const CLIENTS_CACHE: TimeDelta = TimeDelta::minutes(10);

/// Retired keys that are published at most.
const RETIRED_AT_MOST: usize = 2;

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
        /// Whether the next one may be too.
        with_next: bool,
    },
    /// Time is over for keys that have signed so long, and clients know the next one.
    Due {
        /// How long.
        every: TimeDelta,
    },
}

/// Why a rotation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else did it meanwhile.
    #[error("somebody else rotated the keys just now")]
    ByAnother,
    /// The current key is not old enough, or the next one not published for long enough.
    #[error("it is not time for a rotation yet")]
    NotDue,
    /// As many retired keys as may be published are still needed.
    #[error("two retired keys still verify, the older one until {}; wait for that", rfc3339(*.0))]
    TooManyRetired(DateTime<Utc>),
    /// There is nothing that could sign instead.
    #[error("the next key is not made yet; the services make it as soon as they can")]
    NoNext,
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<diesel::result::Error> for Refused {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// The current key and the one that signs next, where `occasion` permits a rotation at `now`.
pub(super) fn decide<'a>(
    keys: &'a [ServiceKey],
    occasion: &Occasion,
    now: DateTime<Utc>,
) -> Result<(&'a ServiceKey, Option<&'a ServiceKey>), Refused> {
    let (current, next) = (find(keys, CURRENT).ok_or(Refused::ByAnother)?, find(keys, NEXT));
    match occasion {
        Occasion::Planned { current: seen } if *seen != current.kid => {
            return Err(Refused::ByAnother);
        }
        Occasion::Emergency { current: seen, with_next } => {
            // A planned rotation that came between has not ended it: what may be in wrong hands is
            // refused, whatever else there is.
            let verifies = keys.iter().any(|key| key.state != NEXT && key.kid == *seen);
            let next = next.filter(|_| !with_next);
            return if verifies { Ok((current, next)) } else { Err(Refused::ByAnother) };
        }
        Occasion::Due { every } => {
            let is_young = current.activated_at.is_some_and(|since| since > now - *every);
            let is_unknown = next.is_some_and(|next| next.published_at > now - CLIENTS_CACHE);
            if is_young || is_unknown {
                return Err(Refused::NotDue);
            }
        }
        Occasion::Planned { .. } => {}
    }
    let retired: Vec<_> =
        keys.iter().filter(|key| key.state == RETIRED && key.is_published(now)).collect();
    if retired.len() >= RETIRED_AT_MOST {
        let first = retired.iter().filter_map(|key| key.until).min().unwrap_or_default();
        return Err(Refused::TooManyRetired(first));
    }
    next.ok_or(Refused::NoNext).map(|next| (current, Some(next)))
}

/// The key of the ring that is in `state`.
pub(super) fn find<'a>(keys: &'a [ServiceKey], state: &str) -> Option<&'a ServiceKey> {
    keys.iter().find(|key| key.state == state)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn key(state: &str, published_at: DateTime<Utc>) -> ServiceKey {
        ServiceKey {
            kid: state.to_owned(),
            public_jwk: Value::Null,
            key_type: "ES256".to_owned(),
            store: "database".to_owned(),
            state: state.to_owned(),
            sealed_key: None,
            sealing_key_id: None,
            token_life: 900,
            published_at,
            activated_at: (state == CURRENT).then_some(published_at),
            retired_at: None,
            until: None,
        }
    }

    #[test]
    fn by_the_schedule_no_key_signs_before_clients_know_it() {
        let due = Occasion::Due { every: TimeDelta::days(30) };
        let old = key(CURRENT, now() - TimeDelta::days(31));
        let second = TimeDelta::seconds(1);
        let ring = |next| [old.clone(), key(NEXT, next)];
        let fresh = ring(now() - CLIENTS_CACHE + second);
        assert!(matches!(decide(&fresh, &due, now()), Err(Refused::NotDue)));
        let known = ring(now() - CLIENTS_CACHE);
        assert!(decide(&known, &due, now()).is_ok());
        let young = now() - TimeDelta::days(30) + second;
        let keys = [key(CURRENT, young), key(NEXT, young)];
        assert!(matches!(decide(&keys, &due, now()), Err(Refused::NotDue)));
        // Who asks for it by a command has been told what it means for clients.
        let planned = Occasion::Planned { current: CURRENT.to_owned() };
        assert!(decide(&fresh, &planned, now()).is_ok());
    }
}
