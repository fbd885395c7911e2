//! Whose key a key id is, and which keys a user has: what requests ask again and again.
//!
//! Another replica's revocation takes entries away by the change feed, which this process reads;
//! while that can't be read nothing kept is believed. The feed says nothing of a session whose last
//! token has expired everywhere, so its key is not believed beyond that moment either. An addition
//! is no entry of the feed, so what is not here is looked for in the database each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::database::Pool;
use prometheus::IntCounterVec;
use serde_json::Value;
use uuid::Uuid;

use super::LARGEST_LEEWAY;
use super::key_cache::KeyCache;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::published_key::{self, ServedKey};
use crate::models::user_keyset::{self, DeviceJwk, Keyset};

/// Nothing stays for longer without having been read again.
const LIFE: Duration = Duration::from_mins(1);

/// Looks keys up by key id and by user, in memory first; clones share everything.
#[derive(Clone)]
pub struct KeyLookup {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    leeway: TimeDelta,
    damaged: IntCounterVec,
    by_kid: KeyCache<String, Arc<ServedKey>>,
    by_user: KeyCache<Uuid, Arc<Keyset>>,
    /// How often something was taken away: what was read before that is not kept after it.
    removals: AtomicU64,
    /// Until when every revocation is known to have been heard of.
    trusted_until: Mutex<Option<Instant>>,
}

impl KeyLookup {
    pub(super) fn new(clock: Clock, metrics: &ServiceMetrics, leeway: TimeDelta) -> Self {
        let lookups = &metrics.key_lookups;
        let inner = Inner {
            clock,
            leeway,
            damaged: metrics.damaged_keys.clone(),
            by_kid: KeyCache::new("kid_to_user", lookups, LIFE, |_| 1),
            by_user: KeyCache::new("keyset_by_user", lookups, LIFE, |keyset: &Arc<Keyset>| {
                keyset.keys.len()
            }),
            removals: AtomicU64::new(0),
            trusted_until: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The public JWK that is served under `kid`.
    pub(super) async fn find_public(
        &self,
        database: &Pool,
        kid: &str,
    ) -> Result<Option<Value>, Error> {
        Ok(self.find_served(database, kid).await?.map(|key| key.public_jwk.clone()))
    }

    /// The key `kid` in the keyset of `user`, while it is in use.
    pub(super) async fn find_in_keyset(
        &self,
        database: &Pool,
        user: Uuid,
        kid: &str,
    ) -> Result<Option<DeviceJwk>, Error> {
        let kept = self.is_trusted().then(|| self.inner.by_user.get(&user, |_| true)).flatten();
        if let Some(key) = kept.as_ref().and_then(|keyset| keyset.find(kid)) {
            // Revoked keys leave the keyset that is kept only where their user was known.
            let served = self.find_served(database, kid).await?;
            if served.is_some_and(|served| served.user_id == Some(user)) {
                return Ok(Some(key.clone()));
            }
        }
        let removals = self.removals();
        let mut connection = database.get().await?;
        let keyset = user_keyset::find(&mut connection, user).await?.unwrap_or_default();
        drop(connection);
        let key = keyset.find(kid).cloned();
        if key.is_none() && !keyset.damaged.is_empty() {
            self.inner.damaged.with_label_values(&["private"]).inc();
        }
        self.keep(&self.inner.by_user, &user, Arc::new(keyset), removals);
        Ok(key)
    }

    async fn find_served(
        &self,
        database: &Pool,
        kid: &str,
    ) -> Result<Option<Arc<ServedKey>>, Error> {
        if let Some(key) = self.find_kept(kid) {
            return Ok(Some(key));
        }
        let removals = self.removals();
        let mut connection = database.get().await?;
        let found = published_key::find_served(&mut connection, kid).await?.map(Arc::new);
        drop(connection);
        // One that waits will have a user.
        if let Some(key) = found.as_ref().filter(|key| key.user_id.is_some()) {
            self.keep(&self.inner.by_kid, &kid.to_owned(), Arc::clone(key), removals);
        }
        Ok(found)
    }

    fn find_kept(&self, kid: &str) -> Option<Arc<ServedKey>> {
        if !self.is_trusted() {
            return None;
        }
        let now = self.inner.clock.now();
        self.inner.by_kid.get(kid, |key| now < announced_until(key, self.inner.leeway))
    }

    /// `kid` was revoked, here or elsewhere.
    pub fn forget(&self, kid: &str) {
        self.inner.removals.fetch_add(1, Ordering::SeqCst);
        if let Some(user) = self.inner.by_kid.remove(kid).and_then(|key| key.user_id) {
            self.inner.by_user.remove(&user);
        }
    }

    /// Another database stands behind the same name.
    pub fn forget_all(&self) {
        self.inner.removals.fetch_add(1, Ordering::SeqCst);
        self.inner.by_kid.clear();
        self.inner.by_user.clear();
    }

    /// The feed was read to its end; that is good for so long.
    pub fn trust_for(&self, period: Duration) {
        let until = Some(Instant::now() + period);
        *self.inner.trusted_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn is_trusted(&self) -> bool {
        let until = *self.inner.trusted_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn removals(&self) -> u64 {
        self.inner.removals.load(Ordering::SeqCst)
    }

    /// Keeps what was read, unless something has been taken away since: it could be this.
    fn keep<K, V>(&self, cache: &KeyCache<K, V>, key: &K, value: V, removals: u64)
    where
        K: Clone + std::hash::Hash + Eq + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        cache.insert(key.clone(), value);
        // Whoever removes counts first, so that one of us takes it out again.
        if self.removals() != removals {
            cache.remove(key);
        }
    }
}

/// Until when the feed is sure to tell of the key's end, whichever replica's clock decides. The end
/// of one that no session signs with is always told.
fn announced_until(key: &ServedKey, leeway: TimeDelta) -> DateTime<Utc> {
    key.last_token_expires_at
        .map_or(DateTime::<Utc>::MAX_UTC, |expiry| expiry + LARGEST_LEEWAY - leeway)
}

#[cfg(test)]
mod tests {
    use common::metrics::Metrics;

    use super::*;

    const LEEWAY: TimeDelta = TimeDelta::seconds(60);

    fn lookup(clock: &Clock) -> KeyLookup {
        let metrics = ServiceMetrics::register(&Metrics::new("user-service"));
        KeyLookup::new(clock.clone(), &metrics, LEEWAY)
    }

    fn key(last_token_expires_at: Option<DateTime<Utc>>) -> Arc<ServedKey> {
        let (user_id, public_jwk) = (Some(Uuid::nil()), Value::Null);
        Arc::new(ServedKey { user_id, public_jwk, last_token_expires_at })
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_kept_after_it() {
        let lookup = lookup(&Clock::default());
        lookup.trust_for(Duration::from_mins(1));
        let (kid, by_kid) = ("k".to_owned(), &lookup.inner.by_kid);
        let removals = lookup.removals();
        lookup.keep(by_kid, &kid, key(None), removals);
        assert!(lookup.find_kept("k").is_some());
        lookup.forget("k");
        lookup.keep(by_kid, &kid, key(None), removals);
        assert!(lookup.find_kept("k").is_none());
    }

    #[test]
    fn nothing_kept_is_believed_while_the_feed_is_not_read() {
        let lookup = lookup(&Clock::default());
        lookup.keep(&lookup.inner.by_kid, &"k".to_owned(), key(None), lookup.removals());
        assert!(lookup.find_kept("k").is_none());
        lookup.trust_for(Duration::from_mins(1));
        assert!(lookup.find_kept("k").is_some());
        lookup.trust_for(Duration::ZERO);
        assert!(lookup.find_kept("k").is_none());
    }

    #[test]
    fn a_key_is_not_believed_once_its_end_would_not_be_told() {
        let clock = Clock::default();
        let lookup = lookup(&clock);
        lookup.trust_for(Duration::from_mins(1));
        let told_for = TimeDelta::hours(1) + LARGEST_LEEWAY - LEEWAY;
        let signed = key(Some(clock.now() + TimeDelta::hours(1)));
        lookup.keep(&lookup.inner.by_kid, &"k".to_owned(), signed, lookup.removals());
        clock.turn(told_for - TimeDelta::seconds(1));
        assert!(lookup.find_kept("k").is_some());
        clock.turn(TimeDelta::seconds(1));
        assert!(lookup.find_kept("k").is_none());
    }
}
