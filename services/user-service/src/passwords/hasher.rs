//! Argon2id (RFC 9106) on a blocking pool whose width bounds memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

use super::Password;
use super::queue::{Admission, Queue};
use crate::config::PasswordSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;

/// No failed login answers sooner.
const LEAST_FLOOR: Duration = Duration::from_millis(100);
/// Headroom over what was measured, in percent: a busy machine is slower than at its start.
const FLOOR_PERCENT: u32 = 150;

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct PasswordHasher {
    params: Params,
    workers: usize,
    queue_length: usize,
    queue: Queue,
    floor_ms: Arc<AtomicU64>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The password is right.
    pub matches: bool,
    /// Its hash was made with other parameters than today's.
    pub outdated: bool,
}

impl PasswordHasher {
    /// Refuses parameters that Argon2 does.
    pub fn new(settings: &PasswordSettings, metrics: &ServiceMetrics) -> Result<Self, String> {
        let params = Params::new(settings.memory_kib, settings.passes, settings.lanes, None)
            .map_err(|error| format!("`passwords`: {error}"))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let workers = if settings.workers == 0 { cores } else { settings.workers };
        let queue_length = if settings.queue == 0 { workers * 4 } else { settings.queue };
        Ok(Self {
            params,
            workers,
            queue_length,
            queue: Queue::new(workers, queue_length, metrics.password_queue.clone()),
            floor_ms: Arc::default(),
        })
    }

    /// The parameters of new hashes, `m=19456,t=2,p=1`.
    #[must_use]
    pub fn parameters(&self) -> String {
        self.params.to_string()
    }

    /// A place in the queue, at once or not at all. Half of the queue is kept for devices that
    /// the named user has used before.
    pub fn admit(&self, known_device: bool) -> Result<Admission, Error> {
        self.queue.admit(known_device)
    }

    /// Hashes a new password; a PHC string with its own salt.
    pub async fn hash(&self, admission: &Admission, password: Password) -> Result<String, Error> {
        let argon2 = argon2(self.params.clone());
        admission.run(move || hash(&argon2, &password)).await?
    }

    /// Checks `password` against a stored hash; against none, which costs the same, it is wrong.
    pub async fn verify(
        &self,
        admission: &Admission,
        stored: Option<String>,
        password: Password,
    ) -> Result<Verdict, Error> {
        let params = self.params.clone();
        admission
            .run(move || match stored {
                Some(stored) => verify(&params, &stored, &password),
                None => hash(&argon2(params), &password)
                    .map(|_| Verdict { matches: false, outdated: false }),
            })
            .await?
    }

    /// The time at which every failed login answers: above a hash with the slowest parameters
    /// stored that has waited through the whole queue.
    #[must_use]
    pub fn floor(&self) -> Duration {
        Duration::from_millis(self.floor_ms.load(Ordering::Relaxed))
    }

    /// Measures the slowest of the `stored` parameters and of today's, and sets the floor.
    pub async fn calibrate(&self, stored: Vec<String>) -> Result<(), Error> {
        let mut all: Vec<Params> = stored.iter().filter_map(|text| text.parse().ok()).collect();
        all.push(self.params.clone());
        let admission = self.admit(true)?;
        let slowest = admission.run(move || all.into_iter().map(time).max()).await?;
        let slowest = slowest.unwrap_or_default();
        let turns = u32::try_from(self.queue_length.div_ceil(self.workers) + 1).unwrap_or(u32::MAX);
        let floor = (slowest * turns * FLOOR_PERCENT / 100).max(LEAST_FLOOR);
        let floor_ms = u64::try_from(floor.as_millis()).unwrap_or(u64::MAX);
        self.floor_ms.store(floor_ms, Ordering::Relaxed);
        tracing::info!(floor_ms, "failed_logins_answer_after");
        Ok(())
    }
}

fn argon2(params: Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(argon2: &Argon2<'_>, password: &Password) -> Result<String, Error> {
    argon2
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::Internal(format!("a password could not be hashed: {error}")))
}

fn verify(today: &Params, stored: &str, password: &Password) -> Result<Verdict, Error> {
    let damaged = || Error::Internal("a stored password hash is damaged".to_owned());
    let stored = PasswordHash::new(stored).map_err(|_| damaged())?;
    let params = Params::try_from(&stored).map_err(|_| damaged())?;
    let matches = argon2(params.clone()).verify_password(password.as_bytes(), &stored).is_ok();
    Ok(Verdict { matches, outdated: params.to_string() != today.to_string() })
}

fn time(params: Params) -> Duration {
    let argon2 = argon2(params);
    let mut out = [0; 32];
    let started = Instant::now();
    // Parameters that Argon2 has accepted once do not fail here; if they did, they cost nothing.
    let _ = argon2.hash_password_into(b"measured", b"saltsaltsaltsalt", &mut out);
    started.elapsed()
}

#[cfg(test)]
mod tests {
    use common::metrics::Metrics;

    use super::*;

    fn hasher(memory_kib: u32) -> PasswordHasher {
        let settings = PasswordSettings { memory_kib, passes: 1, lanes: 1, workers: 1, queue: 2 };
        let metrics = ServiceMetrics::register(&Metrics::new("test"));
        PasswordHasher::new(&settings, &metrics).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::for_login(text).unwrap()
    }

    #[tokio::test]
    async fn a_right_password_matches_and_others_do_not() {
        let (hasher, other) = (hasher(64), hasher(128));
        let admission = hasher.admit(true).unwrap();
        let stored = hasher.hash(&admission, password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        let verify = |hasher: PasswordHasher, stored, text: &str| {
            let (password, admission) = (password(text), hasher.admit(true).unwrap());
            async move { hasher.verify(&admission, stored, password).await.unwrap() }
        };
        let right = verify(hasher.clone(), Some(stored.clone()), "correct horse").await;
        assert_eq!(right, Verdict { matches: true, outdated: false });
        let wrong = verify(hasher.clone(), Some(stored.clone()), "wrong horse").await;
        assert_eq!(wrong, Verdict { matches: false, outdated: false });
        let outdated = verify(other, Some(stored), "correct horse").await;
        assert_eq!(outdated, Verdict { matches: true, outdated: true });
        let nobody = verify(hasher, None, "correct horse").await;
        assert!(!nobody.matches);
    }

    #[tokio::test]
    async fn the_floor_lies_above_the_slowest_parameters_stored() {
        let hasher = hasher(64);
        hasher.calibrate(vec!["m=65536,t=3,p=1".into(), "nonsense".into()]).await.unwrap();
        let slow = time("m=65536,t=3,p=1".parse().unwrap());
        assert!(hasher.floor() > slow, "{:?} {slow:?}", hasher.floor());
    }
}
