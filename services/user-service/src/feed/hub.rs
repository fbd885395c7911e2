use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::clock::Clock;
use common::database::{self, Pool, Wake};
use common::settings::Secret;
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;

use super::position::Position;
use super::stream::render;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::key_change::{self, KeyChange};

/// How often the table is read when no notification comes.
const POLL: Duration = Duration::from_secs(1);
/// A hub that has not read the table for this long keeps its streams silent, so that readers do
/// not take silence for peace.
const FRESH: Duration = Duration::from_secs(4);
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
    events: broadcast::Sender<Bytes>,
    wake: Arc<Notify>,
    read_at: Mutex<Option<Instant>>,
}

/// How far the hub has come.
struct Progress {
    position: Position,
    /// Changes beyond the position that have been sent.
    sent: BTreeSet<(i64, i64)>,
}

impl Hub {
    /// Starts to read; ends with the last handle on it.
    pub fn start(pool: Pool, url: Secret, clock: Clock, metrics: ServiceMetrics) -> Self {
        let wake = Arc::new(Notify::new());
        let notified = Arc::clone(&wake);
        let listener = tokio::spawn(database::listen(url, "key_changes", move |event| {
            if event != Wake::Lost {
                notified.notify_one();
            }
        }));
        let inner = Arc::new(Inner {
            pool,
            clock,
            metrics,
            events: broadcast::channel(BACKLOG).0,
            wake: Arc::clone(&wake),
            read_at: Mutex::new(None),
        });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            run(weak, wake).await;
            listener.abort();
        });
        Self { inner }
    }

    /// Events from now on, rendered.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Bytes> {
        self.inner.events.subscribe()
    }

    /// Whether changes committed by now would have been seen, give or take a few seconds.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let read_at = *self.inner.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Has the table read at once, for a revocation made in this process.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }
}

async fn run(hub: Weak<Inner>, wake: Arc<Notify>) {
    let mut progress = None;
    loop {
        let Some(inner) = hub.upgrade() else { return };
        let woken = Instant::now();
        match inner.read(&mut progress).await {
            Ok(sent) => {
                *inner.read_at.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now());
                if sent > 0 {
                    inner.metrics.feed_lag.observe(woken.elapsed().as_secs_f64());
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
    /// Reads what is new and sends it; answers how much.
    async fn read(&self, progress: &mut Option<Progress>) -> Result<usize, Error> {
        let mut connection = self.pool.get().await?;
        let state = key_change::state(&mut connection).await?;
        let Some(known) = progress.as_mut().filter(|known| known.position.is_of(&state)) else {
            // A first reading, or another database behind the same name: streams replay anew.
            *progress =
                Some(Progress { position: Position::horizon(&state), sent: BTreeSet::new() });
            return Ok(0);
        };
        let mut cursor = known.position.key();
        let mut count = 0;
        loop {
            let page =
                key_change::list_after(&mut connection, cursor, self.clock.now(), PAGE).await?;
            for change in &page {
                let key = (change.transaction_id, change.id);
                cursor = key;
                if known.sent.insert(key) {
                    count += 1;
                    self.send(change, &Position::after(change, &state));
                }
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }
        known.position = Position::horizon(&state);
        known.sent = known.sent.split_off(&(state.horizon, 0));
        Ok(count)
    }

    fn send(&self, change: &KeyChange, position: &Position) {
        // Without readers there is nobody to tell; they replay when they come.
        let _ = self.events.send(render(change, position));
    }
}
