//! What was revoked, kept until no token that it concerns could still be accepted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

use crate::change::{Revocation, Whose};
use crate::verified::Verified;

/// Revoked key ids, session ids and token ids with the Unix second until which each matters.
#[derive(Default)]
pub(crate) struct Tombstones {
    sets: RwLock<Sets>,
    added: watch::Sender<()>,
}

#[derive(Default)]
struct Sets {
    kids: HashMap<String, i64>,
    sids: HashMap<Uuid, i64>,
    jtis: HashMap<String, i64>,
}

impl Tombstones {
    /// Adds a revocation and tells live connections; a repeated one may only lengthen its life.
    pub(crate) fn add(&self, Revocation { whose, until, .. }: Revocation) {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        match whose {
            Whose::Kid(kid) => lengthen(&mut sets.kids, kid, until),
            Whose::Sid(sid) => lengthen(&mut sets.sids, sid, until),
            Whose::Jti(jti) => lengthen(&mut sets.jtis, jti, until),
        }
        drop(sets);
        self.added.send_replace(());
    }

    pub(crate) fn contain(&self, verified: &Verified) -> bool {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.kids.contains_key(&verified.kid)
            || sets.sids.contains_key(&verified.claims.sid)
            || sets.jtis.contains_key(&verified.claims.jti)
    }

    pub(crate) fn contain_kid(&self, kid: &str) -> bool {
        self.sets.read().unwrap_or_else(PoisonError::into_inner).kids.contains_key(kid)
    }

    /// Is told of every addition from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.added.subscribe()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> i64 {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        let count = sets.kids.len() + sets.sids.len() + sets.jtis.len();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Drops what no longer matters.
    pub(crate) fn sweep(&self, now: i64) {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        sets.kids.retain(|_, until| *until > now);
        sets.sids.retain(|_, until| *until > now);
        sets.jtis.retain(|_, until| *until > now);
    }
}

fn lengthen<K: Eq + Hash>(set: &mut HashMap<K, i64>, key: K, until: i64) {
    let entry = set.entry(key).or_insert(until);
    *entry = until.max(*entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_lasts_to_the_latest_time_it_was_given() {
        let tombstones = Tombstones::default();
        for until in [20, 10] {
            tombstones.add(Revocation { whose: Whose::Kid("k".into()), until, at: None });
        }
        tombstones.sweep(19);
        assert!(tombstones.contain_kid("k"));
        tombstones.sweep(20);
        assert_eq!(tombstones.count(), 0);
    }
}
