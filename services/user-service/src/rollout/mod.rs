//! The rollout of the newer cookies: which share of sessions gets them, the same on all replicas.
//!
//! The share stands in one row. Each replica keeps what it read last: a change wakes it as a
//! revocation does, and polling stands behind that; no login and no refresh asks the database.

mod keep;
mod operate;

use std::sync::Arc;
use std::time::Duration;

use common::clock::Clock;
use common::database::Pool;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

pub use operate::{Operated, Operator};

use crate::config::Settings;
use crate::metrics::ServiceMetrics;
use crate::models::cookie_rollout::CookieRollout;

/// How long the first login waits for the first reading.
const FIRST_READING: Duration = Duration::from_secs(2);

/// What this replica knows of the rollout; clones share everything.
#[derive(Clone)]
pub struct Rollout {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    clock: Clock,
    metrics: ServiceMetrics,
    /// Percent, where nobody has decided yet.
    first_share: u8,
    wake: Arc<Notify>,
    /// None before the first reading.
    known: watch::Sender<Option<CookieRollout>>,
}

impl Rollout {
    /// Begins to follow the table; ends with the last handle on it.
    #[must_use]
    pub fn start(settings: &Settings, pool: Pool, clock: Clock, metrics: &ServiceMetrics) -> Self {
        let wake = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            pool,
            clock,
            metrics: metrics.clone(),
            first_share: settings.browser.rollout_share,
            wake: Arc::clone(&wake),
            known: watch::channel(None).0,
        });
        tokio::spawn(keep::run(Arc::downgrade(&inner), wake));
        Self { inner }
    }

    /// Percent of sessions that get the newer cookies; none while the database has never been
    /// read.
    pub async fn share(&self) -> Option<u8> {
        let mut known = self.inner.known.subscribe();
        let read = timeout(FIRST_READING, known.wait_for(Option::is_some)).await;
        let share = read.ok()?.ok()?.as_ref().map(|decision| decision.share)?;
        u8::try_from(share).ok()
    }

    /// Notified, this looks at the table at once.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.wake)
    }
}
