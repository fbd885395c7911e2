//! The ledger of uses: written in batches within a second, so that no draw waits for it.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::Pool;
use prometheus::IntCounter;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::token_use::{self, NewTokenUse};

/// Uses that wait to be written at most; past that they are lost, and counted.
const CAPACITY: usize = 16_384;
/// Uses in one statement at most: what PostgreSQL computes in one go stands in the way of the draws
/// beside it.
const BATCH: usize = 50;
/// How long the first use of a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How often it is noted when ids were last used, while uses come in without a pause.
const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// Before a batch that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// A batch that a database which does answer refuses so often is given up.
const REFUSALS: u32 = 3;
/// How long the end of the service waits for the last batch.
const FLUSH: Duration = Duration::from_secs(5);

/// The ledger of uses; clones share everything.
#[derive(Clone)]
pub struct Ledger {
    sender: mpsc::Sender<Message>,
    clock: Clock,
    lost: IntCounter,
}

/// A use of a persistent id.
#[derive(Clone, Debug)]
pub struct Use {
    /// Which id.
    pub persistent_token_id: Uuid,
    /// Whose id.
    pub user_id: Uuid,
    /// The client that asked.
    pub client_id: String,
    /// The scope it asked for.
    pub scope: String,
    /// `cached`, `refreshed`, or the code of the error.
    pub outcome: &'static str,
}

enum Message {
    Use(NewTokenUse),
    Flush(oneshot::Sender<()>),
}

impl Ledger {
    /// Starts to write; ends with its last clone.
    #[must_use]
    pub fn start(pool: Pool, clock: Clock, metrics: &ServiceMetrics) -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let lost = metrics.ledger_lost.clone();
        let (receiver, counted) = (Arc::new(Mutex::new(receiver)), lost.clone());
        metrics.tasks.run("ledger", move || {
            let writer =
                Writer { pool: pool.clone(), lost: counted.clone(), last_used: BTreeMap::new() };
            writer.run(Arc::clone(&receiver))
        });
        Self { sender, clock, lost }
    }

    /// Enters a use, without waiting for anything.
    pub fn record(&self, one: Use) {
        let entry = NewTokenUse {
            persistent_token_id: one.persistent_token_id,
            user_id: one.user_id,
            client_id: one.client_id,
            scope: one.scope,
            outcome: one.outcome,
            used_at: self.clock.now(),
        };
        if self.sender.try_send(Message::Use(entry)).is_err() {
            self.lost.inc();
        }
    }

    /// Waits until everything entered so far is written, for some seconds at most.
    pub async fn flush(&self) {
        let (sender, flushed) = oneshot::channel();
        let flush = async {
            if self.sender.send(Message::Flush(sender)).await.is_ok() {
                // An error is the writer's end, which is one too.
                let _ = flushed.await;
            }
        };
        if timeout(FLUSH, flush).await.is_err() {
            tracing::warn!("ledger_not_flushed");
        }
    }
}

/// What writes the ledger.
struct Writer {
    pool: Pool,
    lost: IntCounter,
    /// When ids were last used, as far as that is not written.
    last_used: BTreeMap<Uuid, DateTime<Utc>>,
}

/// What is written at once.
enum Entry<'a> {
    Uses(&'a [NewTokenUse]),
    LastUsed(&'a BTreeMap<Uuid, DateTime<Utc>>),
}

/// What has come in.
#[derive(Default)]
struct Gathered {
    uses: Vec<NewTokenUse>,
    /// Who waits until it is written.
    flush: Option<oneshot::Sender<()>>,
    /// There will be no more.
    ended: bool,
}

impl Writer {
    /// The receiver outlives a panic.
    async fn run(mut self, receiver: Arc<Mutex<mpsc::Receiver<Message>>>) {
        let mut receiver = receiver.lock().await;
        let mut touched_at = Instant::now();
        loop {
            let Gathered { uses, flush, ended } = self.gather(&mut receiver).await;
            let quiet = uses.len() < BATCH;
            self.write(&uses).await;
            for entry in uses {
                self.last_used.insert(entry.persistent_token_id, entry.used_at);
            }
            if quiet || touched_at.elapsed() >= TOUCH_EVERY {
                self.touch().await;
                touched_at = Instant::now();
            }
            if let Some(flush) = flush {
                // Whoever asked may have gone.
                let _ = flush.send(());
            }
            if ended {
                return;
            }
        }
    }

    /// A batch: a full one, or what there is some time after its first use.
    async fn gather(&self, receiver: &mut mpsc::Receiver<Message>) -> Gathered {
        let mut gathered = Gathered::default();
        let deadline = || Instant::now() + GATHER;
        let mut until = (!self.last_used.is_empty()).then(deadline);
        while gathered.uses.len() < BATCH {
            let next = match until {
                None => receiver.recv().await,
                Some(until) => match timeout_at(until, receiver.recv()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            match next {
                Some(Message::Use(entry)) => gathered.uses.push(entry),
                Some(Message::Flush(flush)) => {
                    gathered.flush = Some(flush);
                    break;
                }
                None => {
                    gathered.ended = true;
                    break;
                }
            }
            until.get_or_insert_with(deadline);
        }
        gathered
    }

    async fn write(&self, uses: &[NewTokenUse]) {
        if !uses.is_empty() && !self.persist(Entry::Uses(uses)).await {
            self.lost.inc_by(u64::try_from(uses.len()).unwrap_or(u64::MAX));
        }
    }

    async fn touch(&mut self) {
        let last_used = mem::take(&mut self.last_used);
        if !last_used.is_empty() {
            self.persist(Entry::LastUsed(&last_used)).await;
        }
    }

    /// Tries until the database takes it: while it is away, uses wait in the channel. False where
    /// it refuses.
    async fn persist(&self, entry: Entry<'_>) -> bool {
        let mut refusals = 0;
        while let Err(error) = entry.write(&self.pool).await {
            tracing::warn!(%error, "ledger_not_written");
            if !is_away(&error) {
                refusals += 1;
            }
            if refusals == REFUSALS {
                return false;
            }
            sleep(RETRY).await;
        }
        true
    }
}

impl Entry<'_> {
    async fn write(&self, pool: &Pool) -> Result<(), Error> {
        let mut connection = pool.get().await?;
        match self {
            Self::Uses(uses) => token_use::insert(&mut connection, uses).await.map(drop)?,
            Self::LastUsed(last_used) => token_use::touch(&mut connection, last_used).await?,
        }
        Ok(())
    }
}

fn is_away(error: &Error) -> bool {
    match error {
        Error::Database(error) => common::database::is_unavailable(error),
        _ => true,
    }
}
