use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use common::claims::AccessClaims;
use common::clock::Clock;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::check::{MAX_BYTES, Unverified};
use crate::claims;
use crate::key_cache::KeyCache;
use crate::metrics::VerifierMetrics;
use crate::policy::Policy;
use crate::reason::{Reason, Refusal};
use crate::standing::Standing;
use crate::tombstones::Tombstones;
use crate::verified::Verified;

/// How often tombstones that no longer matter are dropped.
const SWEEP: Duration = Duration::from_secs(30);

/// What all clones of a verifier and its background tasks share.
pub(crate) struct Judge {
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) keys: KeyCache,
    pub(crate) tokens: Cache<[u8; 32], Arc<Verified>>,
    pub(crate) tombstones: Tombstones,
    pub(crate) standing: Standing,
    pub(crate) metrics: VerifierMetrics,
}

impl Judge {
    pub(crate) async fn decide(&self, token: &str) -> Result<Arc<Verified>, Refusal> {
        self.standing.check().map_err(|_| Refusal::CannotJudge)?;
        if token.len() > MAX_BYTES {
            return Err(Refusal::Invalid(Reason::TooLarge));
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let verified = self.tokens.get(&digest);
        if let Some(verified) = verified.filter(|verified| self.keys.is_known(&verified.kid)) {
            self.metrics.token_cache_hits.inc();
            self.admit(&verified).inspect_err(|_| self.tokens.invalidate(&digest))?;
            return Ok(verified);
        }
        self.metrics.token_cache_misses.inc();
        let verified = Arc::new(self.check(token).await?);
        self.admit(&verified)?;
        self.tokens.insert(digest, Arc::clone(&verified));
        Ok(verified)
    }

    async fn check(&self, token: &str) -> Result<Verified, Refusal> {
        let unverified = Unverified::parse(token).map_err(Refusal::Invalid)?;
        let kid = unverified.kid().to_owned();
        if self.tombstones.contain_kid(&kid) {
            return Err(Refusal::Invalid(Reason::Revoked));
        }
        let key = self.keys.get(&kid).await?;
        let claims = unverified.check(&key, &self.policy, self.clock.now());
        Ok(Verified { claims: claims.map_err(Refusal::Invalid)?, kid })
    }

    /// The end of every acceptance, whatever took its time before: the feed may have spoken
    /// meanwhile.
    fn admit(&self, verified: &Verified) -> Result<(), Refusal> {
        claims::check_times(&verified.claims, &self.policy, self.clock.now())
            .map_err(Refusal::Invalid)?;
        if self.tombstones.contain(verified) {
            return Err(Refusal::Invalid(Reason::Revoked));
        }
        self.standing.check().map_err(|_| Refusal::CannotJudge)
    }

    /// What is left of a token's life, leeway included; `exp` may be any 64-bit number.
    pub(crate) fn until_expiry(&self, claims: &AccessClaims) -> TimeDelta {
        let leeway_ms = self.policy.leeway.num_milliseconds();
        let end_ms = claims.exp.saturating_mul(1000).saturating_add(leeway_ms);
        TimeDelta::milliseconds(end_ms.saturating_sub(self.clock.now().timestamp_millis()))
    }

    /// The feed was heard at its head.
    pub(crate) fn hear_feed(&self) {
        self.standing.hear();
        self.metrics.feed_connected.set(1);
        self.metrics.feed_last_heard.set(self.clock.now().timestamp());
    }

    /// A revocation entered at `at`, Unix milliseconds, has taken effect. Clocks may disagree a
    /// little: nothing takes less than no time.
    pub(crate) fn observe_delay(&self, at: i64) {
        let delay = TimeDelta::milliseconds(self.clock.now().timestamp_millis().saturating_sub(at));
        self.metrics.revocation_delay.observe(delay.to_std().unwrap_or_default().as_secs_f64());
    }

    /// The feed can't be heard for now.
    pub(crate) fn lose_feed(&self, reason: &str) {
        self.standing.lose(reason);
        self.metrics.feed_connected.set(0);
        tracing::warn!(reason, "feed_lost");
    }

    /// The feed can't go on from where we were; tombstones stay, they can only refuse too much.
    pub(crate) fn start_over(&self) {
        self.standing.fall_behind();
        self.tokens.invalidate_all();
        self.metrics.feed_connected.set(0);
        tracing::warn!("feed_reset");
    }

    pub(crate) async fn keep_keys_fresh(self: Arc<Self>) {
        self.keys.keep_fresh().await;
    }

    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP).await;
            self.tombstones.sweep(self.clock.now().timestamp());
            self.metrics.tombstones.set(self.tombstones.count());
        }
    }
}
