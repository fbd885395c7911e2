use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::clock::Clock;
use common::database::{self, Database, Pool, Wake};
use tokio::sync::{Mutex as AsyncMutex, Notify, broadcast, watch};
use tokio::time::timeout;

use super::event::render;
use super::position::Position;
use super::revoked::Revoked;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::key_change::{self, ChangeKind, FeedState, KeyChange, UnseenChange};
use crate::rollout::Rollout;
use crate::signing::Signing;

/// How often the table is read when no notification comes.
const POLL: Duration = Duration::from_secs(1);
/// A hub that has not read the table for this long keeps its streams silent, so that readers do
/// not take silence for peace.
const FRESH: Duration = Duration::from_secs(4);
/// How long one statement of a reading may take: they are short, and all verifiers wait for them.
const STATEMENT: Duration = Duration::from_secs(2);
/// Rows in one reading.
const PAGE: i64 = 500;
/// Events that a stream may be behind before it is cut off; it comes back and replays.
const BACKLOG: usize = 4096;

/// Reads new changes and hands them to all streams.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    clock: Clock,
    metrics: ServiceMetrics,
    /// Forgets what others revoke.
    signing: Signing,
    /// What is revoked, for requests that ask no database.
    revoked: Revoked,
    events: broadcast::Sender<Bytes>,
    wake: Arc<Notify>,
    read_at: Mutex<Option<Instant>>,
    /// The database's life that events are read from; none before the first reading.
    epoch: watch::Sender<Option<String>>,
    /// Woken by the same notification.
    rollout: OnceLock<Arc<Notify>>,
}

/// How far the hub has come.
struct Progress {
    /// Everything that a reading in this state shows has been sent.
    seen: FeedState,
    /// Changes sent although it does not show them: they were committed while it was read.
    sent: BTreeSet<(i64, i64)>,
}

impl Hub {
    /// Starts to read; ends with the last handle on it.
    pub fn start(
        pool: Pool,
        database: Database,
        clock: Clock,
        metrics: ServiceMetrics,
        signing: Signing,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let tasks = metrics.tasks.clone();
        let inner = Arc::new(Inner {
            pool,
            clock,
            metrics,
            signing,
            revoked: Revoked::default(),
            events: broadcast::channel(BACKLOG).0,
            wake: Arc::clone(&wake),
            read_at: Mutex::new(None),
            epoch: watch::channel(None).0,
            rollout: OnceLock::new(),
        });
        let (followed, progress) = (Arc::downgrade(&inner), Arc::default());
        tasks.run("change_feed", move || {
            follow(followed.clone(), database.clone(), Arc::clone(&wake), Arc::clone(&progress))
        });
        Self { inner }
    }

    /// Has `rollout` look at its table whenever something may have changed. For one; others are
    /// not heard.
    pub fn follow(&self, rollout: &Rollout) {
        let _ = self.inner.rollout.set(rollout.waker());
    }

    /// Events from now on, rendered.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Bytes> {
        self.inner.events.subscribe()
    }

    /// The database's life that events are read from: none before the first reading, another when
    /// the database was replaced.
    pub(super) fn epoch(&self) -> watch::Receiver<Option<String>> {
        self.inner.epoch.subscribe()
    }

    /// Whether changes committed by now would have been seen, give or take a few seconds.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let read_at = *self.inner.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// What is revoked, as far as this process knows; [`Self::is_revoked`] says whether it may have
    /// missed something.
    #[must_use]
    pub fn revoked(&self) -> &Revoked {
        &self.inner.revoked
    }

    /// Whether a token that says all this is revoked; `None` where this process may have missed it.
    #[must_use]
    pub fn is_revoked(&self, kid: &str, sid: &str, jti: &str) -> Option<bool> {
        self.inner.revoked.judge(kid, sid, jti).filter(|_| self.is_fresh())
    }

    /// Has the table read at once, for a revocation made in this process.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }
}

/// Reads the table, and listens for when to, as long as there is a hub.
/// What was sent outlives a panic, so that nothing is left out after it.
async fn follow(
    hub: Weak<Inner>,
    database: Database,
    wake: Arc<Notify>,
    progress: Arc<AsyncMutex<Option<Progress>>>,
) {
    let mut progress = progress.lock().await;
    let on_wake = |event| {
        if event != Wake::Lost {
            wake.notify_one();
        }
    };
    tokio::select! {
        () = read_on(hub, &wake, &mut progress) => {}
        () = database::listen(database, "key_changes", on_wake) => {}
    }
}

async fn read_on(hub: Weak<Inner>, wake: &Notify, progress: &mut Option<Progress>) {
    loop {
        let Some(inner) = hub.upgrade() else { return };
        match inner.read(progress).await {
            Ok(()) => {
                *inner.read_at.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now());
                inner.signing.lookup.trust_for(FRESH);
                inner.signing.wake();
                if let Some(rollout) = inner.rollout.get() {
                    rollout.notify_one();
                }
            }
            Err(error) => tracing::warn!(%error, "feed_not_read"),
        }
        drop(inner);
        // Woken or not, it is time to look.
        let _ = timeout(POLL, wake.notified()).await;
    }
}

impl Inner {
    /// Reads what is new and sends it.
    async fn read(&self, progress: &mut Option<Progress>) -> Result<(), Error> {
        let mut connection = self.pool.get().await?;
        let state = timeout(STATEMENT, key_change::state(&mut connection)).await;
        let state = connection.answered(state)?;
        let Some(known) = progress.as_mut().filter(|known| known.seen.epoch == state.epoch) else {
            // A first reading, or another database behind the same name: streams replay anew.
            self.signing.lookup.forget_all();
            drop(connection);
            self.fill_revoked().await?;
            self.epoch.send_replace(Some(state.epoch.clone()));
            *progress = Some(Progress { seen: state, sent: BTreeSet::new() });
            return Ok(());
        };
        let mut cursor = (0, 0);
        loop {
            let now = self.clock.now();
            let page = key_change::list_unseen(&mut connection, &known.seen, cursor, now, PAGE);
            let page = timeout(STATEMENT, page).await;
            let page = connection.answered(page)?;
            for UnseenChange { change, age } in &page {
                cursor = (change.transaction_id, change.id);
                if !known.sent.contains(&cursor) {
                    self.send(change, &Position::after(change, &state));
                    known.sent.insert(cursor);
                    self.metrics.feed_lag.observe(age.max(0.0));
                }
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }
        known.sent.retain(|(transaction, _)| !state.shows(*transaction));
        known.seen = state;
        drop(connection);
        if self.revoked.sweep(self.clock.now()) { self.fill_revoked().await } else { Ok(()) }
    }

    /// Reads every revocation that still matters. Whatever commits meanwhile comes as an event.
    async fn fill_revoked(&self) -> Result<(), Error> {
        self.revoked.clear();
        let mut connection = self.pool.get().await?;
        let mut cursor = (0, 0);
        loop {
            let page = key_change::list_after(&mut connection, cursor, self.clock.now(), PAGE);
            let page = timeout(STATEMENT, page).await;
            let page = connection.answered(page)?;
            for change in &page {
                cursor = (change.transaction_id, change.id);
                self.revoked.add(&change.kind, &change.value, change.until);
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                self.revoked.complete();
                return Ok(());
            }
        }
    }

    fn send(&self, change: &KeyChange, position: &Position) {
        self.revoked.add(&change.kind, &change.value, change.until);
        if change.kind == ChangeKind::Kid.as_str() {
            self.signing.forget([change.value.as_str()]);
        }
        // Without readers there is nobody to tell; they replay when they come.
        let _ = self.events.send(render(change, position));
    }
}
