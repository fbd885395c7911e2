//! The ledger of uses: written in batches within a second, so that no draw waits for it.

use std::time::Duration;

use common::clock::Clock;
use common::database::Pool;
use diesel_async::AsyncConnection as _;
use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot};
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
        tokio::spawn(write(pool, receiver, lost.clone()));
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

async fn write(pool: Pool, mut receiver: mpsc::Receiver<Message>, lost: IntCounter) {
    loop {
        let (batch, flush) = gather(&mut receiver).await;
        let open = flush.is_some() || !batch.is_empty();
        if !batch.is_empty() {
            write_batch(&pool, &batch, &lost).await;
        }
        if let Some(flush) = flush {
            // Whoever asked may have gone.
            let _ = flush.send(());
        }
        if !open {
            return;
        }
    }
}

/// A batch, and who waits for it. Nothing at all: there will be none any more.
async fn gather(
    receiver: &mut mpsc::Receiver<Message>,
) -> (Vec<NewTokenUse>, Option<oneshot::Sender<()>>) {
    let mut batch = Vec::new();
    let mut until = None;
    while batch.len() < BATCH {
        let next = match until {
            None => receiver.recv().await,
            Some(until) => timeout_at(until, receiver.recv()).await.unwrap_or_default(),
        };
        match next {
            Some(Message::Use(entry)) => batch.push(entry),
            Some(Message::Flush(flush)) => return (batch, Some(flush)),
            None => break,
        }
        until.get_or_insert_with(|| Instant::now() + GATHER);
    }
    (batch, None)
}

/// Tries until the database takes it: while it is away, uses wait in the channel.
async fn write_batch(pool: &Pool, batch: &[NewTokenUse], lost: &IntCounter) {
    let mut refusals = 0;
    while let Err(error) = insert(pool, batch).await {
        tracing::warn!(%error, "ledger_not_written");
        if !is_away(&error) {
            refusals += 1;
        }
        if refusals == REFUSALS {
            lost.inc_by(u64::try_from(batch.len()).unwrap_or(u64::MAX));
            return;
        }
        sleep(RETRY).await;
    }
}

async fn insert(pool: &Pool, batch: &[NewTokenUse]) -> Result<(), Error> {
    let mut connection = pool.get().await?;
    Ok(connection
        .transaction(async |connection| token_use::insert(connection, batch).await)
        .await?)
}

fn is_away(error: &Error) -> bool {
    match error {
        Error::Database(error) => common::database::is_unavailable(error),
        _ => true,
    }
}
