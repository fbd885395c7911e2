//! The outbox's clockwork: finds what is due and has it made, on every replica, until the service
//! drains. What is cut off in the middle is due again by itself.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use super::call;
use super::outcome::Outcome;
use super::surely::to_its_end;
use crate::error::Error;
use crate::models::provider_call;
use crate::state::State;

/// How often the table is read when nobody wakes us.
const POLL: Duration = Duration::from_secs(1);
/// How long a statement that looks for calls may take.
const STATEMENT: Duration = Duration::from_secs(5);
/// Calls under way at once in one process.
const AT_ONCE: usize = 8;
/// An entry taken from the table is due again after this if its taker dies before it begins.
const CLAIM: TimeDelta = TimeDelta::seconds(30);
/// Somebody else's call is looked at this often, besides being told of its end in one process.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a caller waits for a grant that is being refreshed at this moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls that providers still have to hear; clones share everything.
#[derive(Clone, Default)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    due: Notify,
    over: Notify,
}

impl Outbox {
    /// Calls from now on, what an earlier process left behind included.
    pub fn start(state: State) {
        let tasks = state.metrics.tasks.clone();
        tasks.run("outbox", move || run(state.clone()));
    }

    /// Has the table read at once; to be called after a transaction that queued something.
    pub fn wake(&self) {
        self.inner.due.notify_one();
    }

    /// Makes a call that was queued a moment ago, and all that follows from it, while its caller
    /// waits. It goes on when its caller is gone.
    pub async fn run_now(&self, state: &State, id: Uuid) -> Result<Outcome, Error> {
        let state = state.clone();
        to_its_end(async move { patiently(&state, id).await }).await
    }

    /// Waits for the end of some call, or for the time to look whether it has ended elsewhere.
    pub(super) async fn wait_for_an_end(&self) {
        // Told or not, it is time to look.
        let _ = timeout(LOOK_AGAIN, self.inner.over.notified()).await;
    }

    pub(super) fn tell_of_an_end(&self) {
        self.inner.over.notify_waiters();
    }
}

async fn run(state: State) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match claim(&state).await {
            Ok(Some(id)) => {
                let state = state.clone();
                tokio::spawn(async move {
                    if let Err(error) = call::make_all(&state, id).await {
                        tracing::warn!(%id, %error, "outbox_call_not_settled");
                    }
                    drop(place);
                });
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "outbox_not_read"),
        }
        drop(place);
        tokio::select! {
            () = state.draining.cancelled() => return,
            _ = timeout(POLL, state.outbox.inner.due.notified()) => {}
        }
    }
}

/// Takes an entry that is due; where none is, counts those that wait.
async fn claim(state: &State) -> Result<Option<Uuid>, Error> {
    if state.draining.is_cancelled() {
        return Ok(None);
    }
    let mut connection = state.pool.get().await?;
    let now = state.clock.now();
    let claimed = provider_call::claim_due(&mut connection, now, now + CLAIM);
    let claimed = timeout(STATEMENT, claimed).await;
    if let Some(call) = connection.answered(claimed)? {
        return Ok(Some(call.id));
    }
    let open = timeout(STATEMENT, provider_call::count_open(&mut connection)).await;
    state.metrics.outbox_depth.set(connection.answered(open)?);
    Ok(None)
}

async fn patiently(state: &State, id: Uuid) -> Result<Outcome, Error> {
    let started = tokio::time::Instant::now();
    loop {
        let outcome = call::make_all(state, id).await?;
        if outcome != Outcome::InUse || started.elapsed() > PATIENCE {
            return Ok(outcome);
        }
        state.outbox.wait_for_an_end().await;
    }
}
