//! What is known of keys, kept in memory within bounds.

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use prometheus::IntCounterVec;

/// Keys in each cache; the least recently used go first.
const KEYS: u64 = 10_000;
/// Those that nobody uses for this long go.
const IDLE: Duration = Duration::from_mins(10);

/// A bounded cache that counts how often it helped.
#[derive(Clone)]
pub(super) struct KeyCache<K, V> {
    name: &'static str,
    kept: Cache<K, V>,
    lookups: IntCounterVec,
}

impl<K, V> KeyCache<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `name` is its label in the metric, `keys` says how many keys an entry holds, and none stays
    /// for longer than `life` without having been read again.
    pub(super) fn new(
        name: &'static str,
        lookups: &IntCounterVec,
        life: Duration,
        keys: fn(&V) -> usize,
    ) -> Self {
        let kept = Cache::builder()
            .max_capacity(KEYS)
            .weigher(move |_, value| u32::try_from(keys(value)).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE)
            .time_to_live(life);
        Self { name, kept: kept.build(), lookups: lookups.clone() }
    }

    /// What is kept under `key` and is still good; anything else is a miss.
    pub(super) fn get<Q>(&self, key: &Q, is_good: impl FnOnce(&V) -> bool) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.kept.get(key).filter(is_good);
        let outcome = if found.is_some() { "hit" } else { "miss" };
        self.lookups.with_label_values(&[self.name, outcome]).inc();
        found
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.kept.insert(key, value);
    }

    /// Takes an entry out and answers what it was.
    pub(super) fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.kept.remove(key)
    }

    pub(super) fn clear(&self) {
        self.kept.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn the_least_recently_used_go_first_and_large_entries_count_for_more() {
        let lookups = IntCounterVec::new(Opts::new("lookups", "-"), &["cache", "outcome"]).unwrap();
        let cache = KeyCache::new("test", &lookups, Duration::from_mins(1), |keys: &u32| {
            usize::try_from(*keys).unwrap()
        });
        for number in 0..10 {
            cache.insert(number, 1000);
        }
        cache.kept.run_pending_tasks();
        assert!(cache.get(&0, |_| true).is_some());
        cache.insert(10, 2000);
        cache.kept.run_pending_tasks();
        let gone: Vec<u32> =
            (0..=10).filter(|number| cache.get(number, |_| true).is_none()).collect();
        assert_eq!(gone, [1, 2]);
        assert_eq!(lookups.with_label_values(&["test", "miss"]).get(), 2);
    }
}
