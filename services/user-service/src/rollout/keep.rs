//! What keeps a replica's view of the rollout fresh, and takes it back where it does harm.

use std::sync::{Arc, Weak};
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::AsyncConnection as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Inner;
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::cookie_rollout::{self, CookieRollout};
use crate::models::cookie_rollout_session::{self, Counts};

/// How often the table is read when nothing wakes us.
const POLL: Duration = Duration::from_secs(2);

/// Runs until the last handle is gone.
pub(super) async fn run(rollout: Weak<Inner>, wake: Arc<Notify>) {
    // Whether something went wrong here that has not been judged yet.
    let mut doubtful = false;
    loop {
        let Some(inner) = rollout.upgrade() else { return };
        if let Err(error) = inner.turn(&mut doubtful).await {
            tracing::warn!(%error, "cookie_rollout_not_read");
        }
        drop(inner);
        // Woken or not, it is time to look.
        let _ = timeout(POLL, wake.notified()).await;
    }
}

impl Inner {
    async fn turn(&self, doubtful: &mut bool) -> Result<(), Error> {
        let decision = self.read().await?;
        if decision.share == 0 || !self.accepts_v4 {
            // There is nothing to go back from, or to.
            self.notes.take();
            *doubtful = false;
            return Ok(());
        }
        *doubtful |= self.write_notes(&decision).await?;
        if *doubtful {
            self.judge(&decision).await?;
            *doubtful = false;
        }
        Ok(())
    }

    async fn read(&self) -> Result<CookieRollout, Error> {
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
        let decision =
            decision.ok_or_else(|| Error::Internal("no rollout was begun".to_owned()))?;
        self.follow(&decision);
        Ok(decision)
    }

    fn follow(&self, decision: &CookieRollout) {
        let changed = self.known.send_if_modified(|known| {
            let changed = known.as_ref() != Some(decision);
            *known = Some(decision.clone());
            changed
        });
        if changed {
            // What came of an earlier decision says nothing of this one.
            self.notes.take();
            let CookieRollout { share, revision, .. } = decision;
            self.metrics.rollout_share.set((*share).into());
            self.metrics.rollout_revision.set(*revision);
            tracing::info!(share, revision, "cookie_rollout");
            if *share < 100 && !self.accepts_v4 {
                let why = "`browser.accept_v4` is false: all sessions get v5, whatever the share";
                tracing::warn!(share, why, "cookie_rollout_without_v4");
            }
        }
    }

    /// Writes down how sessions fare; whether anything went wrong.
    async fn write_notes(&self, decision: &CookieRollout) -> Result<bool, Error> {
        let seen = self.notes.take();
        if seen.ids.is_empty() {
            return Ok(false);
        }
        let (revision, begun, now) = (decision.revision, decision.decided_at, self.clock.now());
        let written = async {
            let mut connection = self.pool.get().await?;
            cookie_rollout_session::note(&mut connection, revision, &seen, begun, now).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = written.await {
            self.notes.put_back(&seen);
            return Err(error);
        }
        Ok(seen.csrf_refused.contains(&true) || seen.failed.contains(&true))
    }

    async fn judge(&self, decision: &CookieRollout) -> Result<(), Error> {
        let since = self.clock.now() - self.thresholds.window;
        let mut connection = self.pool.get().await?;
        let counts = cookie_rollout_session::count(&mut connection, decision.revision, since);
        let counts = counts.await?;
        drop(connection);
        match self.thresholds.crossed(counts) {
            Some(crossed) => self.step_back(decision, crossed, counts).await,
            None => Ok(()),
        }
    }

    /// Of many replicas one does it, and none where an operator has decided since.
    async fn step_back(
        &self,
        decision: &CookieRollout,
        (crossed, concerned): (&'static str, i64),
        Counts { seen, .. }: Counts,
    ) -> Result<(), Error> {
        let reason = format!("{crossed}: {concerned} of {seen} people");
        let back = CookieRollout {
            share: 0,
            revision: decision.revision + 1,
            decided_by: "step_back".to_owned(),
            reason: Some(reason.clone()),
            decided_at: self.clock.now(),
        };
        let details = serde_json::json!({ "reason": reason });
        let event = Event { details, ..Event::new(Kind::RolloutSteppedBack) };
        let mut connection = self.pool.get().await?;
        let stepped = connection
            .transaction(async |connection| {
                let stepped = cookie_rollout::replace(connection, &back).await?;
                if stepped {
                    audit::record(connection, &event).await?;
                }
                QueryResult::Ok(stepped)
            })
            .await?;
        drop(connection);
        if stepped {
            self.metrics.rollout_steps_back.with_label_values(&[crossed]).inc();
            tracing::error!(reason, share = decision.share, "rollout_stepped_back");
            self.follow(&back);
        }
        Ok(())
    }
}
