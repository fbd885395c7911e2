//! The pool of keys that wait, born published, shared by all replicas.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::database::Pool;
use diesel_async::AsyncPgConnection;
use token_verifier::Algorithm;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use uuid::Uuid;
use vault_crypto::Keyring;

use super::key_pair;
use crate::config::SigningSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::published_key::{self, TakenKey};

/// How often the pool is looked at when nobody takes from it.
const IDLE_CHECK: Duration = Duration::from_secs(10);
/// How long to leave the database alone after an error.
const RETRY: Duration = Duration::from_secs(1);

/// Hands out keys and fills itself in the background.
#[derive(Clone)]
pub struct KeyPool {
    inner: Arc<Inner>,
}

struct Inner {
    algorithm: Algorithm,
    rsa_bits: u32,
    size: i64,
    max: i64,
    age: TimeDelta,
    /// One permit a thread that may make keys, in the background or on the spot.
    makers: Semaphore,
    database: Pool,
    keyring: Keyring,
    clock: Clock,
    metrics: ServiceMetrics,
    taken: Notify,
    recently_taken: Mutex<VecDeque<DateTime<Utc>>>,
}

impl KeyPool {
    /// Starts to fill the pool; the filling ends with the last handle on it.
    pub(super) fn start(
        settings: &SigningSettings,
        database: Pool,
        keyring: Keyring,
        clock: Clock,
        metrics: ServiceMetrics,
    ) -> Self {
        let inner = Arc::new(Inner {
            algorithm: settings.algorithm,
            rsa_bits: settings.rsa_bits,
            size: settings.pool_size,
            max: settings.pool_max.max(settings.pool_size),
            age: settings.pool_age.as_delta(),
            makers: Semaphore::new(settings.pool_threads.max(1)),
            database,
            keyring,
            clock,
            metrics,
            taken: Notify::new(),
            recently_taken: Mutex::default(),
        });
        for _ in 0..settings.pool_threads.max(1) {
            tokio::spawn(fill(Arc::downgrade(&inner)));
        }
        Self { inner }
    }

    /// Takes the oldest key for `user`, in the caller's transaction; `None` when the pool is dry.
    pub async fn take(
        &self,
        connection: &mut AsyncPgConnection,
        user: Uuid,
    ) -> Result<Option<TakenKey>, Error> {
        Ok(published_key::take_waiting(connection, user).await?)
    }

    /// Counts a key that was handed out, once its transaction is committed, and wakes the filler.
    pub fn count_taken(&self, key: &TakenKey, made_on_the_spot: bool) {
        let now = self.inner.clock.now();
        let source = if made_on_the_spot {
            "dry"
        } else if now - key.published_at >= self.inner.age {
            "aged"
        } else {
            "fresh"
        };
        self.inner.metrics.keys_taken.with_label_values(&[source]).inc();
        self.inner.recently_taken().push_back(now);
        self.inner.taken.notify_waiters();
    }

    /// Makes a key on the spot, for when the pool is dry. Never more at once than makers.
    pub async fn make(&self) -> Result<(TakenKey, String), Error> {
        self.inner.make().await.map_err(Error::Internal)
    }
}

impl Inner {
    async fn make(&self) -> Result<(TakenKey, String), String> {
        let _permit = self.makers.acquire().await.map_err(|error| error.to_string())?;
        let (algorithm, bits, keyring) = (self.algorithm, self.rsa_bits, self.keyring.clone());
        let now = self.clock.now();
        spawn_blocking(move || key_pair::generate(algorithm, bits, &keyring, now))
            .await
            .map_err(|error| error.to_string())?
    }

    fn recently_taken(&self) -> std::sync::MutexGuard<'_, VecDeque<DateTime<Utc>>> {
        self.recently_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the pool should hold: enough for the logins of one waiting time to find old keys.
    fn target(&self) -> i64 {
        let since = self.clock.now() - self.age;
        let mut taken = self.recently_taken();
        while taken.front().is_some_and(|time| *time < since) {
            taken.pop_front();
        }
        let demand = i64::try_from(taken.len()).unwrap_or(i64::MAX);
        (self.size + demand).min(self.max)
    }

    /// Adds one key if the pool is short of it; says whether it was.
    async fn add_one(&self) -> Result<bool, String> {
        let waiting = self.count().await?;
        if waiting >= self.target() {
            return Ok(false);
        }
        let (key, sealing_key_id) = self.make().await?;
        let mut connection = self.database.get().await.map_err(|error| error.to_string())?;
        published_key::insert_waiting(&mut connection, &key, &sealing_key_id)
            .await
            .map_err(|error| error.to_string())?;
        Ok(true)
    }

    async fn count(&self) -> Result<i64, String> {
        let mut connection = self.database.get().await.map_err(|error| error.to_string())?;
        let aged_before = self.clock.now() - self.age;
        let (waiting, ready) = published_key::count_waiting(&mut connection, aged_before)
            .await
            .map_err(|error| error.to_string())?;
        self.metrics.keys.with_label_values(&["waiting"]).set(waiting);
        self.metrics.pool_ready.set(ready);
        Ok(waiting)
    }
}

async fn fill(inner: std::sync::Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let pause = match inner.add_one().await {
            Ok(true) => Duration::ZERO,
            Ok(false) => IDLE_CHECK,
            Err(reason) => {
                tracing::warn!(reason, "key_pool_not_filled");
                RETRY
            }
        };
        tokio::select! {
            () = inner.taken.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
