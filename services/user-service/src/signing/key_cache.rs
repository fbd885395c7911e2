//! Keys kept parsed. A kid's key never changes, and whether it may be used is told by the session's
//! row, which every request reads: another replica's revocation counts at once, and a key that is
//! not here yet is looked for in the database.

use std::time::Duration;

use moka::sync::Cache;
use prometheus::IntCounterVec;

/// Keys of each kind kept in memory; the least used go first.
const KEYS: u64 = 10_000;
/// Those that nobody uses for this long go.
const IDLE: Duration = Duration::from_mins(10);
/// No key stays longer without having been read again.
const LIFE: Duration = Duration::from_hours(1);

/// A bounded cache that counts how often it helped.
#[derive(Clone)]
pub(super) struct KeyCache<V: Clone + Send + Sync + 'static> {
    name: &'static str,
    keys: Cache<String, V>,
    lookups: IntCounterVec,
}

impl<V: Clone + Send + Sync + 'static> KeyCache<V> {
    /// `name` is its label in the metric.
    pub(super) fn new(name: &'static str, lookups: &IntCounterVec) -> Self {
        let keys = Cache::builder().max_capacity(KEYS).time_to_idle(IDLE).time_to_live(LIFE);
        Self { name, keys: keys.build(), lookups: lookups.clone() }
    }

    pub(super) fn get(&self, kid: &str) -> Option<V> {
        let found = self.keys.get(kid);
        let outcome = if found.is_some() { "hit" } else { "miss" };
        self.lookups.with_label_values(&[self.name, outcome]).inc();
        found
    }

    pub(super) fn insert(&self, kid: &str, key: V) {
        self.keys.insert(kid.to_owned(), key);
    }

    pub(super) fn forget(&self, kid: &str) {
        self.keys.invalidate(kid);
    }
}
