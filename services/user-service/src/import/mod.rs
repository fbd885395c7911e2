//! Taking over the keys of an older `user_session_keys(id, user_id, device_id, key_id, key_data,
//! created_at, updated_at)` that stands in this database. What is settled is marked in the table
//! itself, in the transaction that moves it, so that a run that was broken off goes on and another
//! changes nothing.

mod key_data;
mod older_key;
mod take_in;

use std::collections::HashMap;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::{Database, is_unavailable, locate, try_lock};
use common::tally::Tally;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::Value;
use uuid::Uuid;
use vault_crypto::Keyring;

use self::older_key::OlderKey;
use self::take_in::Prepared;
use crate::config::Settings;

/// Any number that no other lock of ours has; held as long as the connection.
const LOCK: i64 = 7_305_790_113;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = BigInt)]
    settled: i64,
}

/// What an import needs of the service.
pub struct Importer {
    keyring: Keyring,
    database: Database,
    now: DateTime<Utc>,
    /// Keys that a dry run would have stored by now; none where rows are stored.
    foreseen: Option<Mutex<HashMap<String, (Uuid, Value)>>>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Migrated,
    Skipped(&'static str),
    Failed(&'static str),
}

impl Importer {
    /// With the service's own settings; an error names what is wrong with them.
    pub fn new(settings: &Settings, dry_run: bool) -> Result<Self, String> {
        Ok(Self {
            keyring: settings.vault.keyring()?,
            database: locate(&settings.database.url, settings.database.ca_path.as_deref())?,
            now: Clock::default().now(),
            foreseen: dry_run.then(Mutex::default),
        })
    }

    async fn connect(&self) -> Result<AsyncPgConnection, String> {
        self.database.connect().await.map_err(|error| format!("`database.url`: {error}"))
    }
}

/// Moves the keys of an older `user_session_keys` into keysets, sealed. `progress` hears after each
/// batch's rows.
pub async fn session_keys(
    importer: &Importer,
    progress: &mut (dyn FnMut(&Tally) + Send),
) -> Result<Tally, String> {
    let mut connection = importer.connect().await?;
    if !try_lock(&mut connection, LOCK).await.map_err(failed)? {
        return Err("another import is running on this database".to_owned());
    }
    if !older_key::table_is_there(&mut connection).await.map_err(failed)? {
        return Ok(Tally::default());
    }
    if importer.foreseen.is_none() {
        older_key::add_mark(&mut connection).await.map_err(failed)?;
    }
    let mut source = importer.connect().await?;
    let count = older_key::open(&mut source).await.map_err(failed)?;
    let size = |rows| usize::try_from(rows).unwrap_or(0);
    let mut tally = Tally { total: size(count.rows), ..Tally::default() };
    tally.skip(size(count.settled), "moved before");
    let mut read = Vec::new();
    loop {
        let more = older_key::fetch(&mut source).await.map_err(failed)?;
        let done = more.is_empty();
        read.extend(more);
        let rest = if done { Vec::new() } else { split_off_last_user(&mut read) };
        let batch = std::mem::replace(&mut read, rest);
        move_batch(importer, &mut connection, batch, &mut tally, progress).await?;
        if done {
            return Ok(tally);
        }
    }
}

/// A user's rows are taken together: the last one's may go on in the next batch.
fn split_off_last_user(rows: &mut Vec<OlderKey>) -> Vec<OlderKey> {
    let Some(last) = rows.last().map(|row| row.user_id.clone()) else { return Vec::new() };
    let start = rows.partition_point(|row| row.user_id != last);
    rows.split_off(start)
}

/// One transaction. Opening and sealing keys costs time and comes before it.
async fn move_batch(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    batch: Vec<OlderKey>,
    tally: &mut Tally,
    progress: &mut (dyn FnMut(&Tally) + Send),
) -> Result<(), String> {
    if batch.is_empty() {
        return Ok(());
    }
    let rows: Vec<(OlderKey, Result<Prepared, &'static str>)> = batch
        .into_iter()
        .map(|row| {
            let prepared = Prepared::new(&importer.keyring, &row);
            (row, prepared)
        })
        .collect();
    let ended = connection
        .transaction(async |connection| {
            let outcomes = take_in::batch(importer, connection, &rows).await?;
            if importer.foreseen.is_some() { Err(End::DryRun(outcomes)) } else { Ok(outcomes) }
        })
        .await;
    let (Ok(outcomes) | Err(End::DryRun(outcomes))) = ended else {
        return Err(ended.err().map(|end| end.to_string()).unwrap_or_default());
    };
    for ((row, _), outcome) in rows.iter().zip(outcomes) {
        match outcome {
            Outcome::Migrated => tally.migrated += 1,
            Outcome::Skipped(why) => tally.skip(1, why),
            Outcome::Failed(why) => tally.errors.push((row.id.clone(), why.to_owned())),
        }
        progress(tally);
    }
    Ok(())
}

/// What a batch's transaction ends with, other than its commit.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    /// Undoes what a dry run did.
    #[error("dry run")]
    DryRun(Vec<Outcome>),
}

/// Whether the import has to stop; anything else concerns one user's rows.
fn is_fatal(error: &diesel::result::Error) -> bool {
    is_unavailable(error) || matches!(error, diesel::result::Error::BrokenTransactionManager)
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn failed(error: diesel::result::Error) -> String {
    format!("database: {error}")
}
