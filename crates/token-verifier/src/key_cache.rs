//! Keys by id: bounded, fetched once however many ask, and unknown ids remembered for a while.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::backoff::{Backoff, jittered};
use crate::fetch_limit::FetchLimit;
use crate::key::Key;
use crate::key_source::{KeySource, Listing};
use crate::metrics::VerifierMetrics;
use crate::reason::{Reason, Refusal};

/// Unknown ids are asked for again after this.
const UNKNOWN_KEPT: Duration = Duration::from_secs(5);
/// Unknown ids kept, so that inventing them fills nothing.
const UNKNOWN_MAX: u64 = 10_000;
const UNKNOWN: Refusal = Refusal::Invalid(Reason::UnknownKey);
/// The whole set is read this often: half the time that keys are published before their first use.
const REFRESH: Duration = Duration::from_mins(5);
/// And at most this often when ids can't be asked for one by one.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// Keys parsed before others get their turn on the thread.
const PARSED_AT_ONCE: usize = 64;

pub(crate) struct KeyCache {
    known: Cache<String, Key>,
    unknown: Cache<String, ()>,
    max_keys: u64,
    source: Source,
    limit: FetchLimit,
    whole: Mutex<WholeSet>,
    loaded: AtomicBool,
    metrics: VerifierMetrics,
}

/// Where keys come from.
pub(crate) enum Source {
    Files(HashMap<String, Key>),
    Issuer(KeySource),
}

/// The last reading of the whole set: when it began and what came of it.
#[derive(Default)]
struct WholeSet {
    begun: Option<Instant>,
    failed: Option<String>,
    etag: Option<String>,
    /// The ids in it that are any use.
    kids: HashSet<String>,
}

impl KeyCache {
    pub(crate) fn new(max_keys: u64, source: Source, metrics: VerifierMetrics) -> Self {
        let known = Cache::builder().max_capacity(max_keys).eviction_policy(EvictionPolicy::lru());
        Self {
            known: known.build(),
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_KEPT).build(),
            max_keys,
            loaded: AtomicBool::new(matches!(source, Source::Files(_))),
            source,
            limit: FetchLimit::default(),
            whole: Mutex::default(),
            metrics,
        }
    }

    /// Whether the whole set has been read once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Whether the key of an accepted token is still among those to be trusted; one that was
    /// crowded out only has to be fetched again.
    pub(crate) fn is_known(&self, kid: &str) -> bool {
        self.known.contains_key(kid)
    }

    pub(crate) async fn remove(&self, kid: &str) {
        self.known.invalidate(kid).await;
    }

    pub(crate) async fn get(&self, kid: &str) -> Result<Key, Refusal> {
        if let Some(key) = self.known.get(kid).await {
            return Ok(key);
        }
        if self.unknown.contains_key(kid) {
            return Err(UNKNOWN);
        }
        self.known.try_get_with_by_ref(kid, self.find(kid)).await.map_err(|refusal| *refusal)
    }

    async fn find(&self, kid: &str) -> Result<Key, Refusal> {
        let source = match &self.source {
            Source::Files(keys) => return keys.get(kid).cloned().ok_or(UNKNOWN),
            Source::Issuer(source) => source,
        };
        let Some(_permit) = self.limit.permit().await else {
            return self.find_in_whole_set(source, kid).await;
        };
        match source.find(kid).await {
            Ok(Some(key)) => {
                self.count("found");
                Ok(key)
            }
            Ok(None) => {
                self.count("unknown");
                self.unknown.insert(kid.to_owned(), ()).await;
                Err(UNKNOWN)
            }
            Err(reason) => {
                self.count("failed");
                tracing::warn!(reason, "key_fetch_failed");
                Err(Refusal::CannotJudge)
            }
        }
    }

    /// One reading serves all that wait, so that bogus ids, however many, starve no good one. An
    /// id that is not in it may still be good: the issuer bounds the set.
    async fn find_in_whole_set(&self, source: &KeySource, kid: &str) -> Result<Key, Refusal> {
        self.count("limited");
        // What came of it shows in the cache.
        let _ = timeout(source.timeout(), self.refresh(source)).await;
        self.known.get(kid).await.ok_or(Refusal::CannotJudge)
    }

    /// Reads the whole set, unless a reading that began after this call did so already, well or
    /// not.
    async fn refresh(&self, source: &KeySource) -> Result<(), String> {
        let asked = Instant::now();
        let mut whole = self.whole.lock().await;
        if let Some(begun) = whole.begun {
            if begun >= asked {
                return whole.failed.clone().map_or(Ok(()), Err);
            }
            sleep_until(begun + REFRESH_PAUSE).await;
        }
        whole.begun = Some(Instant::now());
        whole.failed = Some("the reading was given up".to_owned());
        let read = self.read_whole(source, &mut whole).await;
        whole.failed = read.clone().err();
        read
    }

    async fn read_whole(&self, source: &KeySource, whole: &mut WholeSet) -> Result<(), String> {
        // Where keys were crowded out, "not modified" would not bring them back.
        let complete = whole.kids.iter().all(|kid| self.known.contains_key(kid));
        let etag = whole.etag.as_deref().filter(|_| complete);
        let listing = source.list(etag).await.inspect_err(|_| self.count("failed"))?;
        if let Listing::Set { keys, etag } = listing {
            whole.etag = etag;
            whole.kids = self.add_new(&keys).await;
        }
        self.drop_all_but(&whole.kids).await;
        self.count("listed");
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }

    /// A key that the set lacks may be taken back, or left out because the issuer bounds the set:
    /// whoever needs it asks for it by its id again.
    async fn drop_all_but(&self, listed: &HashSet<String>) {
        let absent = self.known.iter().filter(|(kid, _)| !listed.contains(&**kid));
        let absent: Vec<Arc<String>> = absent.map(|(kid, _)| kid).collect();
        for kid in absent {
            self.known.invalidate(&*kid).await;
        }
        self.known.run_pending_tasks().await;
        let count = i64::try_from(self.known.entry_count()).unwrap_or(i64::MAX);
        self.metrics.keys_cached.set(count);
    }

    /// Takes up the keys that are not known yet; answers which of the set are known then. One
    /// broken key never costs its siblings.
    async fn add_new(&self, jwks: &[Value]) -> HashSet<String> {
        let max_keys = usize::try_from(self.max_keys).unwrap_or(usize::MAX);
        let mut kids = HashSet::new();
        for chunk in jwks[..jwks.len().min(max_keys)].chunks(PARSED_AT_ONCE) {
            for jwk in chunk {
                kids.extend(self.add_jwk(jwk).await);
            }
            tokio::task::yield_now().await;
        }
        kids
    }

    async fn add_jwk(&self, jwk: &Value) -> Option<String> {
        if let Some(kid) = jwk["kid"].as_str().filter(|kid| self.known.contains_key(*kid)) {
            return Some(kid.to_owned());
        }
        match Key::from_jwk(jwk) {
            Ok(key) => {
                let kid = key.kid().to_owned();
                self.known.insert(kid.clone(), key).await;
                Some(kid)
            }
            Err(error) => {
                self.count("broken_key");
                tracing::warn!(kid = jwk["kid"].as_str(), %error, "key_skipped");
                None
            }
        }
    }

    /// Reads the whole set ahead of the first token and again every few minutes, for ever.
    pub(crate) async fn keep_fresh(&self) {
        let mut backoff = Backoff::default();
        while let Source::Issuer(source) = &self.source {
            let pause = match self.refresh(source).await {
                Ok(()) => {
                    backoff.reset();
                    jittered(REFRESH)
                }
                Err(reason) => {
                    tracing::warn!(reason, "key_set_fetch_failed");
                    backoff.pause()
                }
            };
            sleep(pause).await;
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics.key_fetches.with_label_values(&[outcome]).inc();
    }
}
