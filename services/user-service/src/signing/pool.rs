//! The pool of keys that wait, born published, shared by all replicas.

use std::sync::Arc;
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

use super::background::in_background;
use super::key_pair;
use crate::config::{SigningMode, SigningSettings};
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::published_key::{self, PoolState, TakenKey};

/// How often the pool is looked at when nobody takes from it.
const IDLE_CHECK: Duration = Duration::from_secs(10);
/// How long to leave the database alone after an error.
const RETRY: Duration = Duration::from_secs(1);
/// Logins that may wait for each thread that makes keys on the spot: a bound on their wait.
const WAITERS: usize = 16;

/// Hands out keys and fills itself in the background.
#[derive(Clone)]
pub struct KeyPool {
    inner: Arc<Inner>,
}

struct Inner {
    algorithm: Algorithm,
    rsa_bits: u32,
    key_type: String,
    size: i64,
    max: i64,
    age: TimeDelta,
    /// One permit a thread that may make keys on the spot. Those in the background, as many and
    /// each for one filler, have none: they give way, and a login that waited for them would too.
    makers: Semaphore,
    /// One permit a login that has a key made on the spot.
    waiters: Semaphore,
    database: Pool,
    keyring: Keyring,
    clock: Clock,
    metrics: ServiceMetrics,
    taken: Notify,
}

impl KeyPool {
    /// Starts to fill the pool, in device mode; the filling ends with the last handle on it.
    pub(super) fn start(
        settings: &SigningSettings,
        database: Pool,
        keyring: Keyring,
        clock: Clock,
        metrics: ServiceMetrics,
    ) -> Self {
        let threads = settings.pool_threads.max(1);
        let inner = Arc::new(Inner {
            algorithm: settings.algorithm,
            rsa_bits: settings.rsa_bits,
            key_type: key_pair::key_type(settings.algorithm, settings.rsa_bits),
            size: settings.pool_size,
            max: settings.pool_max.max(settings.pool_size),
            age: settings.pool_age.as_delta(),
            makers: Semaphore::new(threads),
            waiters: Semaphore::new(threads * WAITERS),
            database,
            keyring,
            clock,
            metrics,
            taken: Notify::new(),
        });
        // Nobody takes keys in service mode; waiting ones would only swell the JWKS.
        let fillers = if settings.mode == SigningMode::Device { threads } else { 0 };
        for _ in 0..fillers {
            let filled = Arc::downgrade(&inner);
            inner.metrics.tasks.run("key_pool", move || fill(filled.clone()));
        }
        Self { inner }
    }

    /// Takes the oldest key for `user`, in the caller's transaction; `None` when the pool is dry.
    pub async fn take(
        &self,
        connection: &mut AsyncPgConnection,
        user: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<TakenKey>, Error> {
        Ok(published_key::take_waiting(connection, user, &self.inner.key_type, now).await?)
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
        self.inner.taken.notify_waiters();
    }

    /// Makes a key on the spot, for when the pool is dry. Never more at once than makers; where too
    /// many wait already, [`Error::Busy`].
    pub async fn make(&self) -> Result<(TakenKey, String), Error> {
        let _waiter = self.inner.waiters.try_acquire().map_err(|_| Error::Busy(RETRY))?;
        self.inner.make().await.map_err(Error::Internal)
    }
}

impl Inner {
    /// For a login that waits.
    async fn make(&self) -> Result<(TakenKey, String), String> {
        let _permit = self.makers.acquire().await.map_err(|error| error.to_string())?;
        spawn_blocking(self.generator()).await.map_err(|error| error.to_string())?
    }

    /// For the pool: those who wait for something now go first.
    async fn make_at_leisure(&self) -> Result<(TakenKey, String), String> {
        in_background("key-maker", self.generator()).await?
    }

    fn generator(&self) -> impl FnOnce() -> Result<(TakenKey, String), String> + Send + 'static {
        let (algorithm, bits, keyring) = (self.algorithm, self.rsa_bits, self.keyring.clone());
        let now = self.clock.now();
        move || key_pair::generate(algorithm, bits, &keyring, now)
    }

    /// What the pool should hold: enough for the logins of one waiting time to find old keys.
    fn target(&self, state: PoolState) -> i64 {
        self.size.saturating_add(state.taken).min(self.max)
    }

    /// Adds one key if the pool is short of it; says whether it was.
    async fn add_one(&self) -> Result<bool, String> {
        let state = self.count().await?;
        if state.waiting >= self.target(state) {
            return Ok(false);
        }
        let (key, sealing_key_id) = self.make_at_leisure().await?;
        let mut connection = self.database.get().await.map_err(|error| error.to_string())?;
        published_key::insert_waiting(&mut connection, &key, &sealing_key_id)
            .await
            .map_err(|error| error.to_string())?;
        Ok(true)
    }

    async fn count(&self) -> Result<PoolState, String> {
        let mut connection = self.database.get().await.map_err(|error| error.to_string())?;
        let since = self.clock.now() - self.age;
        let state = published_key::pool_state(&mut connection, &self.key_type, since)
            .await
            .map_err(|error| error.to_string())?;
        self.metrics.pool_waiting.set(state.waiting);
        self.metrics.pool_ready.set(state.ready);
        Ok(state)
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

#[cfg(test)]
mod tests {
    use common::metrics::Metrics;
    use common::settings::Environment;

    use super::*;
    use crate::config::{SCHEMA, Settings};

    fn pool() -> KeyPool {
        let environment = Environment::from_iter([
            ("USER_SERVICE__ENVIRONMENT", "development"),
            ("USER_SERVICE__SIGNING__MODE", "service"),
            ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
        ]);
        let settings: Settings = SCHEMA.load(&environment).unwrap();
        KeyPool::start(
            &settings.signing,
            settings.database.pool(&settings.database.open(settings.environment).unwrap()),
            settings.vault.keyring().unwrap(),
            Clock::default(),
            ServiceMetrics::register(&Metrics::new("test")),
        )
    }

    #[tokio::test]
    async fn a_login_that_waits_for_a_key_waits_for_none_that_is_made_at_leisure() {
        let pool = pool();
        let inner = Arc::clone(&pool.inner);
        let filler = tokio::spawn(async move { inner.make_at_leisure().await });
        tokio::task::yield_now().await;
        assert_eq!(pool.inner.makers.available_permits(), 1);
        assert!(filler.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn past_a_bound_nobody_waits_for_a_key() {
        let pool = pool();
        let maker = pool.inner.makers.acquire().await.unwrap();
        let waiting: Vec<_> = (0..WAITERS)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.make().await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(pool.inner.waiters.available_permits(), 0);
        assert!(matches!(pool.make().await, Err(Error::Busy(_))));
        drop(maker);
        for made in waiting {
            assert!(made.await.unwrap());
        }
        assert!(pool.make().await.is_ok());
    }
}
