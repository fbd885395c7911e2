use std::fs;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use common::claims::AccessClaims;
use common::clock::Clock;
use common::metrics::Metrics;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::check::{Policy, Unverified};
use crate::feed::{self, FeedState};
use crate::key::Key;
use crate::key_cache::{KeyCache, Missing};
use crate::key_source::KeySource;
use crate::metrics::VerifierMetrics;
use crate::reason::{Reason, Refusal};
use crate::settings::VerifierSettings;
use crate::tombstones::{Ended, Tombstones};

const LARGEST_LEEWAY: Duration = Duration::from_mins(5);
/// Tokens that nobody shows for this long are forgotten and checked anew.
const TOKEN_IDLE: Duration = Duration::from_mins(10);
/// No single wait of a live connection is longer, so that a turned clock is noticed.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A token that was accepted.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says.
    pub claims: AccessClaims,
    /// The key that signed it.
    pub kid: String,
}

/// Checks access tokens. Clones share everything; the feed is left with the last of them.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) keys: KeyCache,
    pub(crate) tokens: Cache<[u8; 32], Arc<Verified>>,
    pub(crate) tombstones: Tombstones,
    pub(crate) feed: FeedState,
    pub(crate) metrics: VerifierMetrics,
}

impl Verifier {
    /// Starts to follow the issuer, or reads the PEM files that stand in for it. Returns at once:
    /// the issuer may come up later.
    pub fn start(
        settings: &VerifierSettings,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        if settings.leeway.0 > LARGEST_LEEWAY {
            return Err("`verifier.leeway` may be 5 minutes at most".to_owned());
        }
        let metrics = VerifierMetrics::register(metrics);
        let files = &settings.public_key_files.0;
        let source = if files.is_empty() { Some(KeySource::new(settings)?) } else { None };
        let inner = Arc::new(Inner {
            policy: Policy {
                issuer: settings.issuer().to_owned(),
                audience: settings.audience.clone(),
                leeway: settings.leeway.as_delta(),
            },
            clock,
            keys: KeyCache::new(settings, source, metrics.clone()),
            tokens: Cache::builder()
                .max_capacity(settings.max_tokens)
                .time_to_idle(TOKEN_IDLE)
                .build(),
            tombstones: Tombstones::default(),
            feed: FeedState::new(settings.stale_limit.0, files.is_empty()),
            metrics,
        });
        if files.is_empty() {
            tokio::spawn(feed::follow(Arc::downgrade(&inner), feed::Feed::new(settings)?));
        } else {
            add_files(&inner, files)?;
        }
        Ok(Self { inner })
    }

    /// Accepts a token or says why not.
    pub async fn verify(&self, token: &str) -> Result<Arc<Verified>, Refusal> {
        let result = self.judge(token).await;
        let (outcome, reason) = match &result {
            Ok(_) => ("accepted", ""),
            Err(Refusal::Invalid(reason)) => ("refused", reason.as_str()),
            Err(Refusal::CannotJudge) => ("cannot_judge", ""),
        };
        self.inner.metrics.verifications.with_label_values(&[outcome, reason]).inc();
        if result.is_err() {
            tracing::info!(outcome, reason, "token_not_accepted");
        }
        result
    }

    async fn judge(&self, token: &str) -> Result<Arc<Verified>, Refusal> {
        let inner = &self.inner;
        inner.feed.can_judge()?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let cached = inner.tokens.get(&digest);
        let result = if cached.is_some() { "hit" } else { "miss" };
        inner.metrics.token_cache.with_label_values(&[result]).inc();
        let verified = match cached {
            Some(verified) => {
                inner.check_expiry(&verified.claims)?;
                verified
            }
            None => Arc::new(inner.check(token).await?),
        };
        // Last, whatever took its time above: the feed may have spoken meanwhile.
        if inner.tombstones.contains(&verified.kid, &verified.claims) {
            inner.tokens.invalidate(&digest);
            return Err(Refusal::Invalid(Reason::Revoked));
        }
        inner.feed.can_judge()?;
        inner.tokens.insert(digest, Arc::clone(&verified));
        Ok(verified)
    }

    /// Whether tokens can be judged; the reason, for operators, where not.
    pub fn readiness(&self) -> Result<(), String> {
        self.inner.feed.readiness()
    }

    /// Waits until the token of a live connection is revoked or expires.
    pub async fn until_refused(&self, verified: &Verified) -> Ended {
        let inner = &self.inner;
        let mut changed = inner.tombstones.watch();
        loop {
            if inner.tombstones.contains(&verified.kid, &verified.claims) {
                return Ended::Revoked;
            }
            let left = inner.until_expiry(&verified.claims);
            if left <= TimeDelta::zero() {
                return Ended::Expired;
            }
            let wait = left.to_std().unwrap_or_default().min(LONGEST_WAIT);
            tokio::select! {
                // The sender lives in `inner`, so this can't fail while we look.
                _ = changed.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

impl Inner {
    async fn check(&self, token: &str) -> Result<Verified, Refusal> {
        let unverified = Unverified::parse(token).map_err(Refusal::Invalid)?;
        let kid = unverified.kid().to_owned();
        let key = self.keys.get(&kid).await.map_err(|missing| match missing {
            Missing::Unknown => Refusal::Invalid(Reason::UnknownKey),
            Missing::Unreachable => Refusal::CannotJudge,
        })?;
        let claims = unverified.check(&key, &self.policy, self.clock.now());
        Ok(Verified { claims: claims.map_err(Refusal::Invalid)?, kid })
    }

    fn check_expiry(&self, claims: &AccessClaims) -> Result<(), Refusal> {
        if self.until_expiry(claims) > TimeDelta::zero() {
            Ok(())
        } else {
            Err(Refusal::Invalid(Reason::Expired))
        }
    }

    /// What is left of a token's life, leeway included; `exp` may be any 64-bit number.
    fn until_expiry(&self, claims: &AccessClaims) -> TimeDelta {
        let end_ms =
            claims.exp.saturating_mul(1000).saturating_add(self.policy.leeway.num_milliseconds());
        TimeDelta::milliseconds(end_ms.saturating_sub(self.clock.now().timestamp_millis()))
    }
}

fn add_files(inner: &Arc<Inner>, files: &[String]) -> Result<(), String> {
    let read = |path: &String| {
        let pem = fs::read(path).map_err(|error| format!("{path} can't be read: {error}"))?;
        Key::from_pem(&pem).map_err(|error| format!("{path}: {error}"))
    };
    let keys = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let inner = Arc::clone(inner);
    // moka's future cache inserts without waiting for anything but itself.
    futures_util::future::FutureExt::now_or_never(async move {
        for key in keys {
            inner.keys.add(key).await;
        }
    })
    .ok_or_else(|| "the key cache is busy".to_owned())
}
