//! Retention: what is past is removed in batches, and a sealed checkpoint stands in its place.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound as _, Utc};
use common::clock::rfc3339;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::ChainKeys;
use super::chain::lock;
use super::checkpoints::{self, Place};
use super::former::Former;
use super::rules::Rules;
use crate::error::Error;
use crate::models::security_event::{self, Past};
use crate::models::security_event_chain::Checkpoint;

const BATCH: i64 = 1000;

/// What a purge came to.
#[derive(Debug, Default)]
pub struct Purged {
    /// Rows that are gone.
    pub removed: usize,
    /// Ids of rows that were due and stay, because somebody had changed them, what is before them or
    /// the checkpoints about them.
    pub damaged: Vec<i64>,
    /// Where checkpoints begin that are not as a purge has left them; they stay too.
    pub damaged_checkpoints: Vec<i64>,
}

/// Removes what is past at `now`, batch by batch, the oldest first. What is damaged is passed over.
/// With `since`, a time for each kind, only what is not older is looked at, and no checkpoint but
/// those about it.
pub(super) async fn purge_all(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    rules: &Rules,
    since: Option<&[DateTime<Utc>]>,
    now: DateTime<Utc>,
) -> Result<Purged, Error> {
    let (kinds, before) = rules.due(now);
    let always = vec![DateTime::UNIX_EPOCH; kinds.len()];
    let mut past = Past { kinds, since: since.unwrap_or(&always).to_vec(), before, after: None };
    // No finer than it is exported, so that what is exported can be checked.
    let now = now.trunc_subsecs(3);
    let mut purged = Purged::default();
    if since.is_none() {
        (purged.damaged_checkpoints, _) = checkpoints::check_all(connection, keys).await?;
    }
    loop {
        let Batch { removed, damaged, left, last } = connection
            .transaction(async |connection| purge(connection, keys, &past, now).await)
            .await?;
        left.iter().for_each(tell);
        purged.removed += removed;
        purged.damaged.extend(damaged);
        if last.is_none() {
            return Ok(purged);
        }
        past.after = last;
    }
}

/// What one transaction came to.
struct Batch {
    removed: usize,
    damaged: Vec<i64>,
    left: Vec<Checkpoint>,
    /// Time and id of its last row; none where there are no more.
    last: Option<(DateTime<Utc>, i64)>,
}

/// The log is outside the database, so what stands in it is exported.
fn tell(left: &Checkpoint) {
    tracing::info!(
        first_position = left.first_position,
        last_position = left.last_position,
        count = left.last_position - left.first_position + 1,
        former_link = hex::encode(&left.former_link),
        link = hex::encode(&left.link),
        purged_at = rfc3339(left.purged_at),
        key_version = left.key_version,
        seal = hex::encode(&left.seal),
        "security_events_purged"
    );
}

async fn purge(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    past: &Past,
    now: DateTime<Utc>,
) -> Result<Batch, Error> {
    lock(connection).await?;
    let mut rows = security_event::list_past(connection, past, BATCH).await?;
    let last = rows.last().map(|row| (row.occurred_at, row.id));
    rows.sort_unstable_by_key(|row| row.position);
    let former = Former::load(connection, &rows).await?;
    let good: Vec<_> = rows.iter().filter_map(|row| Place::check(keys, row, &former)).collect();
    let (mut left, mut ids) = (Vec::new(), Vec::new());
    for run in good.chunk_by(|row, next| row.position + 1 == next.position) {
        if let Some((checkpoint, gone)) = checkpoints::leave(connection, keys, run, now).await? {
            left.push(checkpoint);
            ids.extend(gone.iter().map(|row| row.id));
        }
    }
    security_event::delete(connection, &ids).await?;
    let gone: HashSet<i64> = ids.into_iter().collect();
    let damaged = rows.iter().map(|row| row.id).filter(|id| !gone.contains(id)).collect();
    Ok(Batch { removed: gone.len(), damaged, left, last })
}
