//! Keys by id: bounded, fetched once however many ask, and unknown ids remembered for a while.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::key::Key;
use crate::key_source::KeySource;
use crate::metrics::VerifierMetrics;
use crate::settings::VerifierSettings;

/// Unknown ids are asked for again after this.
const UNKNOWN_KEPT: Duration = Duration::from_secs(5);
/// Unknown ids kept, so that inventing them fills nothing.
const UNKNOWN_MAX: u64 = 10_000;
/// Fetches under way at once; the next wait their turn in order.
const FETCHES: usize = 16;

/// Why there is no key.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    /// The issuer has none by this id.
    Unknown,
    /// The issuer can't be asked.
    Unreachable,
}

pub(crate) struct KeyCache {
    known: Cache<String, Key>,
    unknown: Cache<String, ()>,
    source: Option<KeySource>,
    fetches: Semaphore,
    metrics: VerifierMetrics,
}

impl KeyCache {
    /// Without a source it holds what it is given and fetches nothing.
    pub(crate) fn new(
        settings: &VerifierSettings,
        source: Option<KeySource>,
        metrics: VerifierMetrics,
    ) -> Self {
        Self {
            known: Cache::new(settings.max_keys),
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_KEPT).build(),
            source,
            fetches: Semaphore::new(FETCHES),
            metrics,
        }
    }

    pub(crate) async fn add(&self, key: Key) {
        self.known.insert(key.kid().to_owned(), key).await;
    }

    pub(crate) async fn remove(&self, kid: &str) {
        self.known.invalidate(kid).await;
    }

    pub(crate) async fn get(&self, kid: &str) -> Result<Key, Missing> {
        if let Some(key) = self.known.get(kid).await {
            return Ok(key);
        }
        if self.unknown.contains_key(kid) {
            return Err(Missing::Unknown);
        }
        let fetched = self.known.try_get_with_by_ref(kid, self.fetch(kid)).await;
        match fetched {
            Ok(key) => Ok(key),
            Err(missing) => Err(Arc::unwrap_or_clone(missing)),
        }
    }

    async fn fetch(&self, kid: &str) -> Result<Key, Missing> {
        let Some(source) = &self.source else { return Err(Missing::Unknown) };
        let _turn = self.fetches.acquire().await.map_err(|_| Missing::Unreachable)?;
        match source.find(kid).await {
            Ok(Some(key)) => {
                self.count("found");
                Ok(key)
            }
            Ok(None) => {
                self.count("unknown");
                self.unknown.insert(kid.to_owned(), ()).await;
                Err(Missing::Unknown)
            }
            Err(reason) => {
                self.count("failed");
                tracing::warn!(reason, "key_fetch_failed");
                Err(Missing::Unreachable)
            }
        }
    }

    /// Fetches the whole set ahead of the first token.
    pub(crate) async fn prefetch(&self) -> Result<usize, String> {
        let Some(source) = &self.source else { return Ok(0) };
        let keys = source.list().await.inspect_err(|_| self.count("failed"))?;
        let count = keys.len();
        for key in keys {
            self.add(key).await;
        }
        self.count("found");
        Ok(count)
    }

    fn count(&self, outcome: &str) {
        self.metrics.key_fetches.with_label_values(&[outcome]).inc();
    }
}
