//! What keeps a replica's view of the rollout fresh.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::Inner;
use crate::error::Error;
use crate::models::cookie_rollout::{self, CookieRollout};

/// How often the table is read when nothing wakes us.
const POLL: Duration = Duration::from_secs(2);

/// Runs until the last handle is gone.
pub(super) async fn run(rollout: Weak<Inner>, wake: Arc<Notify>) {
    loop {
        let Some(inner) = rollout.upgrade() else { return };
        if let Err(error) = inner.read().await {
            tracing::warn!(%error, "cookie_rollout_not_read");
        }
        drop(inner);
        // Woken or not, it is time to look.
        let _ = timeout(POLL, wake.notified()).await;
    }
}

impl Inner {
    async fn read(&self) -> Result<(), Error> {
        let mut connection = self.pool.get().await?;
        let mut decision = cookie_rollout::find(&mut connection).await?;
        if decision.is_none() {
            let first = CookieRollout {
                share: self.first_share.into(),
                revision: 1,
                decided_by: "settings".to_owned(),
                reason: None,
                decided_at: self.clock.now(),
            };
            cookie_rollout::begin(&mut connection, &first).await?;
            decision = cookie_rollout::find(&mut connection).await?;
        }
        self.known.send_if_modified(|known| {
            let changed = *known != decision;
            if let Some(decision) = decision.as_ref().filter(|_| changed) {
                let CookieRollout { share, revision, .. } = decision;
                self.metrics.rollout_share.set((*share).into());
                self.metrics.rollout_revision.set(*revision);
                tracing::info!(share, revision, "cookie_rollout");
            }
            *known = decision;
            changed
        });
        Ok(())
    }
}
