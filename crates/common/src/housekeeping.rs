//! What grows by use is cleaned in bounded batches, by one replica at a time.

use std::collections::BTreeMap;

use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use prometheus::IntCounterVec;

use crate::database::{Database, try_lock_for_transaction};

/// How many rows of a kind one transaction removes at most.
pub const BATCH: i64 = 1000;

/// How many rows are gone, by what they were.
pub type Removed = BTreeMap<&'static str, usize>;

/// What a service cleans.
pub trait Clean: Sync {
    /// The advisory lock of whoever is at it.
    const LOCK: i64;

    /// Removes at most [`BATCH`] rows of each kind, and says how many of which; they are committed
    /// together.
    fn remove(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Vec<(&'static str, usize)>>> + Send;
}

/// What cleaning came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone.
    pub removed: Removed,
    /// Whether the rest, or all, was left to another process that was at it.
    pub left_to_another: bool,
}

impl Cleaned {
    /// Adds what is gone to a service's counter, by `what`.
    pub fn count(&self, counter: &IntCounterVec) {
        for (what, count) in &self.removed {
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            counter.with_label_values(&[what]).inc_by(count);
        }
    }
}

/// Batch after batch, each in a transaction of its own, until there is nothing left or another
/// process is at it.
pub async fn clean_all(
    connection: &mut AsyncPgConnection,
    service: &impl Clean,
) -> QueryResult<Cleaned> {
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    let mut cleaned = Cleaned::default();
    loop {
        let batch =
            connection.transaction(async |connection| clean(connection, service).await).await?;
        let Some(batch) = batch else {
            return Ok(Cleaned { left_to_another: true, ..cleaned });
        };
        let again = batch.iter().any(|(_, count)| *count >= full);
        for (what, count) in batch {
            if count > 0 {
                tracing::info!(what, count, "cleaned");
            }
            *cleaned.removed.entry(what).or_default() += count;
        }
        if !again {
            return Ok(cleaned);
        }
    }
}

/// One batch of each kind; none where another process is at it.
async fn clean<C: Clean>(
    connection: &mut AsyncPgConnection,
    service: &C,
) -> QueryResult<Option<Vec<(&'static str, usize)>>> {
    if try_lock_for_transaction(connection, C::LOCK).await? {
        service.remove(connection).await.map(Some)
    } else {
        Ok(None)
    }
}

/// The same on a database, for commands: an error says what was wrong with it.
pub async fn clean_up(database: &Database, service: &impl Clean) -> Result<Cleaned, String> {
    let connected = database.connect().await;
    let mut connection = connected.map_err(|error| format!("`database.url`: {error}"))?;
    clean_all(&mut connection, service).await.map_err(|error| format!("database: {error}"))
}
