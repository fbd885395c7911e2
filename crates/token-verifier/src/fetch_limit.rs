use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Fetches by id under way at once.
const AT_ONCE: usize = 16;
/// Fetches by id in a second, and in a burst.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// How long a fetch waits for its turn before it is not worth waiting for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bounds what callers who invent key ids can make us ask of the issuer.
pub(crate) struct FetchLimit {
    rate: DefaultDirectRateLimiter,
    turns: Semaphore,
}

impl Default for FetchLimit {
    fn default() -> Self {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        Self { rate: RateLimiter::direct(quota), turns: Semaphore::new(AT_ONCE) }
    }
}

impl FetchLimit {
    /// Leave to fetch one key, held while it is fetched; `None` where too many others want one.
    pub(crate) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.rate.check().ok()?;
        timeout(PATIENCE, self.turns.acquire()).await.ok()?.ok()
    }
}
