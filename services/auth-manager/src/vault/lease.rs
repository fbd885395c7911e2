//! The lease on a grant: whoever has it, of all processes, may present its token.

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use uuid::Uuid;

use super::draw::Draws;
use crate::error::Error;
use crate::models::grant::GrantHead;
use crate::models::grant_lease::{self, Holder, Leased};

/// The lease on a grant, held.
pub(super) struct Lease {
    pub(super) head: GrantHead,
    pub(super) holder: Holder,
    pub(super) leased: Leased,
}

impl Draws {
    /// None where somebody else has it, a call may still be under way, or `head` is out of date.
    pub(super) async fn take_lease(&self, head: &GrantHead) -> Result<Option<Lease>, Error> {
        let now = self.tools.clock.now();
        if is_busy(head, now) {
            return Ok(None);
        }
        let holder = Holder { grant_id: head.id, id: Uuid::new_v4(), version: head.version };
        let until = now + self.tools.settings.lease.as_delta();
        let mut connection = self.tools.pool.get().await?;
        let leased = grant_lease::take(&mut connection, head, holder, until, now).await?;
        if leased.is_some() {
            self.count_lease("taken");
        }
        Ok(leased.map(|leased| Lease { head: head.clone(), holder, leased }))
    }

    /// Waits for `work`, a conversation with the provider, and renews the lease meanwhile. A lease
    /// that is lost breaks nothing off: what the token brings must be stored.
    pub(super) async fn keep_lease<T>(&self, holder: Holder, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let every = self.tools.settings.lease.0 / 3;
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(every) => {}
            }
            tokio::select! {
                done = &mut work => return done,
                renewed = self.renew_lease(holder) => if matches!(renewed, Ok(false)) {
                    self.count_lease("lost");
                    return work.await;
                },
            }
        }
    }

    async fn renew_lease(&self, holder: Holder) -> Result<bool, Error> {
        let until = self.tools.clock.now() + self.tools.settings.lease.as_delta();
        let mut connection = self.tools.pool.get().await?;
        Ok(grant_lease::renew(&mut connection, holder, until).await?)
    }

    pub(super) fn count_lease(&self, outcome: &str) {
        self.tools.metrics.leases.with_label_values(&[outcome]).inc();
    }
}

/// Whether somebody holds the lease, or a call that began under it may not have ended yet.
fn is_busy(head: &GrantHead, now: DateTime<Utc>) -> bool {
    head.lease_until.max(head.call_deadline).is_some_and(|until| until > now)
}
