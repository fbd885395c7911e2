//! Moves sealed values to the ring's first key while the service runs.
//!
//! Nothing is remembered: what is not under the first key is what is left. A batch is one
//! transaction, that writes only where the value read still stands and opens what it wrote before
//! it commits, so that a run may be killed at any moment.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use vault_crypto::{Keyring, Sealed};
use zeroize::Zeroizing;

use crate::column::{Page, SealedRow};
use crate::key_use::count_keys;
use crate::verify::{Damage, open};
use crate::{KeyUse, SealedColumn};

/// Walks over a column before it is said that something stays under other keys: rows that the
/// service held locked are there at the next one.
const WALKS: u32 = 10;
/// Between two walks of which the first found nothing to move.
const PAUSE: Duration = Duration::from_millis(200);

/// What a run has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Values by key before it.
    pub before: Vec<KeyUse>,
    /// Values by key after it; empty until then.
    pub after: Vec<KeyUse>,
    /// Values to be moved.
    pub total: u64,
    /// Moved; in a dry run: that would be.
    pub moved: u64,
    /// Left, because they do not open.
    pub damaged: BTreeSet<Damage>,
    /// Left, because somebody keeps them locked or goes on writing with another key.
    pub left: u64,
}

/// Why a run ended before its end; all that was committed stays good.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The database's trouble.
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    /// What was written did not open; its batch was undone.
    #[error("{0}: what was written does not open; its batch was undone")]
    NotStored(String),
    /// Undoes a dry run's batch.
    #[error("dry run")]
    DryRun(Batch),
}

/// A batch's outcome.
#[derive(Debug)]
pub struct Batch {
    last: Option<Vec<String>>,
    moved: u64,
    damaged: Vec<Damage>,
}

/// Moves all values of `columns` to the first key of `keyring`; tells `progress` after each batch.
pub async fn rewrap(
    connection: &mut AsyncPgConnection,
    columns: &[SealedColumn],
    keyring: &Keyring,
    dry_run: bool,
    progress: &mut dyn FnMut(&Rewrapped),
) -> Result<Rewrapped, RewrapError> {
    let before = count_keys(connection, columns).await?;
    let total = elsewhere(&before, keyring);
    let tally = Rewrapped { before, total, ..Rewrapped::default() };
    let mut work = Work { connection, keyring, dry_run, tally, progress };
    for column in columns {
        work.move_column(column).await?;
    }
    let mut tally = work.tally;
    tally.after = count_keys(connection, columns).await?;
    Ok(tally)
}

/// Values under other keys than the first.
fn elsewhere(counts: &[KeyUse], keyring: &Keyring) -> u64 {
    counts
        .iter()
        .filter(|used| used.key_id != keyring.writing_key_id())
        .map(|used| used.rows.unsigned_abs())
        .sum()
}

struct Work<'a> {
    connection: &'a mut AsyncPgConnection,
    keyring: &'a Keyring,
    dry_run: bool,
    tally: Rewrapped,
    progress: &'a mut dyn FnMut(&Rewrapped),
}

impl Work<'_> {
    async fn move_column(&mut self, column: &SealedColumn) -> Result<(), RewrapError> {
        let columns = std::slice::from_ref(column);
        for walk in 1.. {
            let (moved, damaged) = self.walk(column).await?;
            let counts = count_keys(self.connection, columns).await?;
            let left = elsewhere(&counts, self.keyring).saturating_sub(damaged);
            if self.dry_run || left == 0 {
                break;
            }
            if walk == WALKS {
                self.tally.left += left;
                break;
            }
            if moved == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Once over the column in the order of its keys; says how many rows were moved, and how many
    /// are damaged.
    async fn walk(&mut self, column: &SealedColumn) -> Result<(u64, u64), RewrapError> {
        let (mut moved, mut damaged) = (0, 0);
        let mut after = None;
        loop {
            let batch = self.move_batch(column, after.as_deref()).await?;
            moved += batch.moved;
            damaged += batch.damaged.len() as u64;
            self.tally.moved += batch.moved;
            self.tally.damaged.extend(batch.damaged);
            (self.progress)(&self.tally);
            match batch.last {
                Some(last) => after = Some(last),
                None => return Ok((moved, damaged)),
            }
        }
    }

    async fn move_batch(
        &mut self,
        column: &SealedColumn,
        after: Option<&[String]>,
    ) -> Result<Batch, RewrapError> {
        let (keyring, dry_run) = (self.keyring, self.dry_run);
        let page = Page {
            after,
            not_under: Some(keyring.writing_key_id()),
            limit: column.batch,
            lock: true,
        };
        let batch = self.connection.transaction(async |connection| {
            let rows = column.read(connection, page).await?;
            let last = rows.last().map(|row| row.key.clone());
            let (fresh, damaged) = reseal(column, keyring, rows);
            let moved = store(connection, column, keyring, &fresh).await?;
            let batch = Batch { last, moved, damaged };
            if dry_run { Err(RewrapError::DryRun(batch)) } else { Ok(batch) }
        });
        match batch.await {
            Err(RewrapError::DryRun(batch)) => Ok(batch),
            other => other,
        }
    }
}

struct Fresh {
    moves: Vec<(SealedRow, Sealed)>,
    plaintexts: Vec<Zeroizing<Vec<u8>>>,
}

fn reseal(column: &SealedColumn, keyring: &Keyring, rows: Vec<SealedRow>) -> (Fresh, Vec<Damage>) {
    let mut fresh = Fresh { moves: Vec::new(), plaintexts: Vec::new() };
    let mut damaged = Vec::new();
    for row in rows {
        match open(column, keyring, &row) {
            Ok(plaintext) => {
                let sealed = keyring.seal(&(column.identity)(&row.fields), &plaintext);
                fresh.moves.push((row, sealed));
                fresh.plaintexts.push(plaintext);
            }
            Err(damage) => damaged.push(damage),
        }
    }
    (fresh, damaged)
}

/// Writes, and opens what then stands there; says how many values that are.
async fn store(
    connection: &mut AsyncPgConnection,
    column: &SealedColumn,
    keyring: &Keyring,
    fresh: &Fresh,
) -> Result<u64, RewrapError> {
    if fresh.moves.is_empty() {
        return Ok(0);
    }
    let stored = column.replace(connection, &fresh.moves, keyring.writing_key_id()).await?;
    for value in &stored {
        let place = fresh.moves.iter().position(|(row, _)| row.key == value.key);
        let opens = place.is_some_and(|place| {
            let identity = (column.identity)(&fresh.moves[place].0.fields);
            let opened = keyring.open(&identity, &value.sealed);
            opened.is_ok_and(|opened| opened == fresh.plaintexts[place])
        });
        if !opens {
            let name = format!("{} {}", column.name, value.key.join("/"));
            return Err(RewrapError::NotStored(name));
        }
    }
    Ok(stored.len() as u64)
}
