//! What is revoked, in memory: keys, sessions and tokens by their ids, each for as long as it
//! matters. Filled from the table when the hub starts, then fed by what the hub reads.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use chrono::{DateTime, TimeDelta, Utc};

use crate::models::key_change::ChangeKind;

/// Ids kept at most, some 10 MB; past it callers ask the database until there is room again.
const CAPACITY: usize = 100_000;
/// How often what no longer matters is dropped.
const SWEEP: TimeDelta = TimeDelta::minutes(1);

/// Ids that are revoked.
#[derive(Debug, Default)]
pub struct Revoked {
    sets: RwLock<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    kids: HashMap<String, DateTime<Utc>>,
    sids: HashMap<String, DateTime<Utc>>,
    jtis: HashMap<String, DateTime<Utc>>,
    /// Whether everything that matters is here.
    complete: bool,
    swept_at: DateTime<Utc>,
}

impl Revoked {
    /// Adds one, which matters until `until`.
    pub fn add(&self, kind: &str, value: &str, until: DateTime<Utc>) {
        let mut sets = self.write();
        if sets.count() >= CAPACITY {
            sets.complete = false;
            return;
        }
        let set = match kind {
            kind if kind == ChangeKind::Kid.as_str() => &mut sets.kids,
            kind if kind == ChangeKind::Sid.as_str() => &mut sets.sids,
            _ => &mut sets.jtis,
        };
        let entry = set.entry(value.to_owned()).or_insert(until);
        *entry = until.max(*entry);
    }

    /// Whether a token that says all this is revoked; `None` where not all that matters is here.
    /// Both are asked at once: what is added anew has been taken away first.
    pub(super) fn judge(&self, kid: &str, sid: &str, jti: &str) -> Option<bool> {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        let Sets { kids, sids, jtis, complete, .. } = &*sets;
        complete.then(|| kids.contains_key(kid) || sids.contains_key(sid) || jtis.contains_key(jti))
    }

    /// Everything has been added.
    pub(super) fn complete(&self) {
        let mut sets = self.write();
        sets.complete = sets.count() < CAPACITY;
    }

    /// Another database stands behind the same name, or there was no room: all is added anew.
    pub(super) fn clear(&self) {
        let mut sets = self.write();
        *sets = Sets { swept_at: sets.swept_at, ..Sets::default() };
    }

    /// Drops what no longer matters, now and then; answers whether all is to be added anew.
    pub(super) fn sweep(&self, now: DateTime<Utc>) -> bool {
        let mut sets = self.write();
        // A clock may be turned back.
        if (now - sets.swept_at).abs() < SWEEP {
            return false;
        }
        sets.swept_at = now;
        let Sets { kids, sids, jtis, .. } = &mut *sets;
        for set in [kids, sids, jtis] {
            set.retain(|_, until| *until > now);
        }
        !sets.complete
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sets> {
        self.sets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    fn count(&self) -> usize {
        self.kids.len() + self.sids.len() + self.jtis.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).unwrap()
    }

    #[test]
    fn an_id_lasts_to_the_latest_time_it_was_given() {
        let revoked = Revoked::default();
        revoked.add("sid", "s", at(20));
        revoked.add("sid", "s", at(10));
        revoked.complete();
        assert_eq!(revoked.judge("-", "s", "-"), Some(true));
        assert_eq!(revoked.judge("s", "-", "s"), Some(false));
        assert!(!revoked.sweep(at(19)) && revoked.judge("-", "s", "-") == Some(true));
        assert!(!revoked.sweep(at(20)) && revoked.judge("-", "s", "-") == Some(false));
    }

    #[test]
    fn without_room_it_is_complete_no_more_until_it_was_filled_anew() {
        let revoked = Revoked::default();
        revoked.complete();
        for number in 0..=CAPACITY {
            revoked.add("jti", &number.to_string(), at(5));
        }
        assert_eq!(revoked.judge("-", "-", "none"), None);
        assert!(revoked.sweep(at(4)), "still no room, but it is tried");
        assert!(revoked.sweep(at(6)));
        revoked.clear();
        assert_eq!(revoked.judge("-", "-", "7"), None, "until all has been added anew");
        revoked.complete();
        assert_eq!(revoked.judge("-", "-", "7"), Some(false));
    }
}
