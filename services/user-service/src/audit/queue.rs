//! Events without a transaction: written by one task, in batches, off everybody's path.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Clock;
use common::database::Pool;
use moka::sync::Cache;
use prometheus::IntCounter;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::{ChainKeys, Event};
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::security_event::{self, NewSecurityEvent};
use crate::models::user;

/// How many may wait; past that they are counted and lost, which bounds what a flood costs.
const WAITING: usize = 10_000;
const BATCH: usize = 500;
/// How long one batch is tried while the database is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of the process waits for what is still to be written.
const FLUSH: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(500);
/// What was written this minute is remembered, so that a flood of it does not reach the database.
const REMEMBERED: u64 = 10_000;
const MINUTE: i64 = 60;

/// What the task is given.
enum Given {
    Row(Box<NewSecurityEvent>),
    /// Of whoever has this name, if there is such a user.
    Of(Box<NewSecurityEvent>, String),
    /// To be told once all that was given before is written.
    Flush(oneshot::Sender<()>),
}

/// Takes events; clones share one queue.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Given>,
    keys: ChainKeys,
    clock: Clock,
    lately: Cache<[u8; 32], ()>,
    lost: IntCounter,
    /// Told when rows were written.
    pub(super) written: Arc<Notify>,
}

impl Recorder {
    /// Starts the task.
    #[must_use]
    pub fn start(pool: Pool, keys: ChainKeys, clock: Clock, metrics: &ServiceMetrics) -> Self {
        let (queue, taken) = mpsc::channel(WAITING);
        let written = Arc::new(Notify::new());
        let lost = metrics.security_events.with_label_values(&["lost"]);
        let (taken, counted, told) = (Arc::new(Mutex::new(taken)), lost.clone(), written.clone());
        metrics.tasks.run("security_events", move || {
            write_all(pool.clone(), Arc::clone(&taken), counted.clone(), told.clone())
        });
        Self { queue, keys, clock, lately: Cache::new(REMEMBERED), lost, written }
    }

    /// Waits until all that was taken is written, for a while.
    pub async fn flush(&self) {
        let (flushed, told) = oneshot::channel();
        let flush = async {
            if self.queue.send(Given::Flush(flushed)).await.is_ok() {
                let _ = told.await;
            }
        };
        if tokio::time::timeout(FLUSH, flush).await.is_err() {
            tracing::error!("security_events_not_flushed");
        }
    }

    /// The keys under the chain.
    pub(crate) fn keys(&self) -> &ChainKeys {
        &self.keys
    }

    /// Takes an event.
    pub fn record(&self, event: &Event) {
        self.push(Given::Row(Box::new(event.row())));
    }

    /// Takes an event of a user known by name alone. A name that nobody has is not kept: it may be
    /// a password in the wrong place.
    pub fn record_of(&self, event: &Event, username_key: String) {
        self.push(Given::Of(Box::new(event.row()), username_key));
    }

    /// Takes an event of which one a minute is enough for each `of_whom`, whichever replica it is
    /// that sees it.
    pub fn record_once(&self, event: &Event, of_whom: &[u8]) {
        let minute = (self.clock.now().timestamp() / MINUTE).to_be_bytes();
        let parts: [&[u8]; 4] = [b"once", event.kind.as_str().as_bytes(), &minute, of_whom];
        let Some(once) = self.keys.mac(self.keys.writing_version(), &parts) else { return };
        if self.lately.contains_key(&once) {
            return;
        }
        self.lately.insert(once, ());
        let row = NewSecurityEvent { once: Some(once.to_vec()), ..event.row() };
        self.push(Given::Row(Box::new(row)));
    }

    fn push(&self, given: Given) {
        if let Err(error) = self.queue.try_send(given) {
            self.lost.inc();
            tracing::error!(%error, "security_event_lost");
        }
    }
}

/// The receiver outlives a panic.
async fn write_all(
    pool: Pool,
    taken: Arc<Mutex<mpsc::Receiver<Given>>>,
    lost: IntCounter,
    written: Arc<Notify>,
) {
    let mut taken = taken.lock().await;
    let mut batch = Vec::with_capacity(BATCH);
    while taken.recv_many(&mut batch, BATCH).await > 0 {
        let (mut rows, mut waiting) = (Vec::new(), Vec::new());
        for given in batch.drain(..) {
            match given {
                Given::Row(row) => rows.push((*row, None)),
                Given::Of(row, username_key) => rows.push((*row, Some(username_key))),
                Given::Flush(flushed) => waiting.push(flushed),
            }
        }
        let count = rows.len();
        let written_in_time = tokio::time::timeout(PATIENCE, write_until_done(&pool, rows)).await;
        if written_in_time.is_err() {
            lost.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
            tracing::error!(count, "security_events_lost");
        }
        written.notify_one();
        for flushed in waiting {
            let _ = flushed.send(());
        }
    }
}

/// A row, and the name of its user where that is not known yet.
type Row = (NewSecurityEvent, Option<String>);

async fn write_until_done(pool: &Pool, rows: Vec<Row>) {
    // Nothing to write needs no database, as at an end while that is away.
    if rows.is_empty() {
        return;
    }
    while let Err(error) = write(pool, rows.clone()).await {
        tracing::warn!(%error, "security_events_not_written");
        tokio::time::sleep(RETRY).await;
    }
}

async fn write(pool: &Pool, rows: Vec<Row>) -> Result<(), Error> {
    let mut connection = pool.get().await?;
    let mut known = Vec::with_capacity(rows.len());
    for (mut row, username_key) in rows {
        if let Some(key) = username_key
            && let Some(user) = user::find_by_username_key(&mut connection, &key).await?
        {
            row.user_id = Some(user.id);
            row.personal["username"] = user.username.into();
        }
        known.push(row);
    }
    if !known.is_empty() {
        security_event::insert_all(&mut connection, known).await?;
    }
    Ok(())
}
