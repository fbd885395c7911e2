use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// How many calls one provider gets at a time, each on a connection of its own; others wait. The
/// client may keep as many idle ones beside them.
pub(super) struct Connections {
    free: Semaphore,
    waiting: IntGauge,
}

/// Somebody who waits; not any more once it is dropped.
struct Waiting<'a>(&'a IntGauge);

impl Connections {
    /// `most` at a time; `waiting` tells how many calls wait.
    pub(super) fn new(most: usize, waiting: IntGauge) -> Self {
        waiting.set(0);
        Self { free: Semaphore::new(most.min(Semaphore::MAX_PERMITS)), waiting }
    }

    /// A connection in the order of asking; none where its turn does not come until then.
    pub(super) async fn take(&self, until: Instant) -> Option<SemaphorePermit<'_>> {
        let _waiting = Waiting::new(&self.waiting);
        // It is never closed.
        timeout_at(until, self.free.acquire()).await.ok()?.ok()
    }
}

impl<'a> Waiting<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
