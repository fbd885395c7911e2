//! What was forgotten, and when: an answer that was on its way meanwhile must not be believed, nor
//! kept as if it had come afterwards.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

/// Longer than any answer is on its way.
const ON_ITS_WAY: Duration = Duration::from_mins(5);

/// Keys that were forgotten, in the order of one counter; clones share it.
#[derive(Clone)]
pub(crate) struct Forgotten<K: Hash + Eq + Send + Sync + 'static> {
    moment: Arc<AtomicU64>,
    last: Cache<K, u64>,
    /// The last time that all were forgotten.
    all: Arc<AtomicU64>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Forgotten<K> {
    /// For answers that are believed for `life` once they are there.
    pub(crate) fn new(life: Duration) -> Self {
        let last = Cache::builder().time_to_live(life.saturating_add(ON_ITS_WAY)).build();
        Self { moment: Arc::default(), last, all: Arc::default() }
    }

    /// Now; to be read before the question is asked.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.load(Ordering::SeqCst)
    }

    /// From now on nothing asked earlier is believed of `key`.
    pub(crate) fn forget(&self, key: K) {
        let now = self.next();
        // Two at once may come here in the other order.
        self.last
            .entry(key)
            .and_upsert_with(|last| last.map_or(now, |last| last.into_value().max(now)));
    }

    /// From now on nothing asked earlier is believed of any key.
    pub(crate) fn forget_all(&self) {
        self.all.fetch_max(self.next(), Ordering::SeqCst);
    }

    fn next(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether `key` was forgotten since the question was asked.
    pub(crate) fn since(&self, key: &K, asked: u64) -> bool {
        self.all.load(Ordering::SeqCst) > asked
            || self.last.get(key).is_some_and(|last| last > asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_before_is_forgotten_and_what_is_asked_after_is_not() {
        let forgotten = Forgotten::new(Duration::from_secs(10));
        let before = forgotten.moment();
        assert!(!forgotten.since(&"one", before));
        forgotten.forget("one");
        assert!(forgotten.since(&"one", before));
        assert!(!forgotten.since(&"two", before));
        assert!(!forgotten.since(&"one", forgotten.moment()));
        forgotten.forget("one");
        assert!(forgotten.since(&"one", before + 1));
        let before = forgotten.moment();
        forgotten.forget_all();
        assert!(forgotten.since(&"one", before) && forgotten.since(&"two", before));
        assert!(!forgotten.since(&"one", forgotten.moment()));
    }
}
