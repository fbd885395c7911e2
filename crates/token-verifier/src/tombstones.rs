//! What was revoked, kept until no token that it concerns could still be accepted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use common::claims::AccessClaims;
use tokio::sync::watch;
use uuid::Uuid;

use crate::sse::Revocation;

/// Why a live connection's token is no longer good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its key, session or id was revoked.
    Revoked,
    /// It expired.
    Expired,
}

/// Revoked key ids, session ids and token ids with the Unix second until which each matters.
pub(crate) struct Tombstones {
    sets: RwLock<Sets>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Sets {
    kids: HashMap<String, i64>,
    sids: HashMap<Uuid, i64>,
    jtis: HashMap<String, i64>,
}

impl Default for Tombstones {
    fn default() -> Self {
        Self { sets: RwLock::default(), changed: watch::channel(()).0 }
    }
}

impl Tombstones {
    /// Adds a revocation and tells live connections; a repeated one may only lengthen its life.
    pub(crate) fn add(&self, revocation: Revocation) {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        match revocation {
            Revocation::Kid { kid, until } => lengthen(&mut sets.kids, kid, until),
            Revocation::Sid { sid, until } => lengthen(&mut sets.sids, sid, until),
            Revocation::Jti { jti, until } => lengthen(&mut sets.jtis, jti, until),
        }
        drop(sets);
        self.changed.send_replace(());
    }

    pub(crate) fn contains(&self, kid: &str, claims: &AccessClaims) -> bool {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.kids.contains_key(kid)
            || sets.sids.contains_key(&claims.sid)
            || sets.jtis.contains_key(&claims.jti)
    }

    /// Is told of every addition from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Drops what no longer matters; answers how many are left.
    pub(crate) fn sweep(&self, now: i64) -> usize {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        sets.kids.retain(|_, until| *until > now);
        sets.sids.retain(|_, until| *until > now);
        sets.jtis.retain(|_, until| *until > now);
        sets.kids.len() + sets.sids.len() + sets.jtis.len()
    }
}

fn lengthen<K: Eq + Hash>(set: &mut HashMap<K, i64>, key: K, until: i64) {
    let entry = set.entry(key).or_insert(until);
    *entry = until.max(*entry);
}
