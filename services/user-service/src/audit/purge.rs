//! Retention: what is past is removed in batches, and a sealed checkpoint stands in its place.

use chrono::{DateTime, SubsecRound as _, Utc};
use common::clock::rfc3339;
use common::settings::Period;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::chain::lock;
use super::former::Former;
use super::{ChainKeys, Kind, seal};
use crate::config::AuditSettings;
use crate::error::Error;
use crate::models::security_event::{self, SecurityEvent};
use crate::models::security_event_chain::{self, Checkpoint};

const BATCH: i64 = 1000;

/// How long each kind is kept.
#[derive(Clone, Debug)]
pub struct Rules {
    usual: Period,
    by_kind: Vec<(Kind, Period)>,
}

impl Rules {
    /// Those of the settings; an error names the setting.
    pub fn new(settings: &AuditSettings) -> Result<Self, String> {
        let mut by_kind = Vec::new();
        for part in &settings.retention_by_kind.0 {
            let wrong = |error: String| format!("`audit.retention_by_kind`: {error}");
            let (kind, period) = part
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{part}` is not `kind=time`")))?;
            let kind = kind.trim().parse().map_err(wrong)?;
            let period: Period = period.parse().map_err(wrong)?;
            if period.0.is_zero() {
                return Err(wrong(format!("{kind} must be kept for some time")));
            }
            by_kind.push((kind, period));
        }
        Ok(Self { usual: settings.retention, by_kind })
    }

    /// Every kind, and what of it is past at `now`: all that is older than this.
    pub(super) fn due(&self, now: DateTime<Utc>) -> (Vec<&'static str>, Vec<DateTime<Utc>>) {
        Kind::ALL.iter().map(|kind| (kind.as_str(), now - self.of(*kind).as_delta())).unzip()
    }

    /// How long `kind` is kept.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Period {
        let own = self.by_kind.iter().find(|(other, _)| *other == kind);
        own.map_or(self.usual, |(_, period)| *period)
    }
}

/// What a purge came to.
#[derive(Debug, Default)]
pub struct Purged {
    /// Rows that are gone.
    pub removed: usize,
    /// Ids of rows that were due and stay, because somebody had changed them or what is before them.
    pub damaged: Vec<i64>,
}

/// Removes what is past at `now`, batch by batch, the oldest first. What is damaged is passed over.
pub(super) async fn purge_all(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Purged, Error> {
    // No finer than it is exported, so that what is exported can be checked.
    let now = now.trunc_subsecs(3);
    let mut purged = Purged::default();
    let mut after = None;
    loop {
        let Batch { removed, damaged, left, last } = connection
            .transaction(async |connection| purge(connection, keys, rules, now, after).await)
            .await?;
        left.iter().for_each(tell);
        purged.removed += removed;
        purged.damaged.extend(damaged);
        if last.is_none() {
            return Ok(purged);
        }
        after = last;
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
    rules: &Rules,
    now: DateTime<Utc>,
    after: Option<(DateTime<Utc>, i64)>,
) -> Result<Batch, Error> {
    lock(connection).await?;
    let (kinds, before) = rules.due(now);
    let mut past = security_event::list_past(connection, &kinds, &before, after, BATCH).await?;
    let last = past.last().map(|row| (row.occurred_at, row.id));
    past.sort_unstable_by_key(|row| row.position);
    let former = Former::load(connection, &past).await?;
    let (good, damaged): (Vec<_>, Vec<_>) =
        past.iter().partition(|row| former.check(keys, row).is_ok());
    let mut left = Vec::new();
    for run in good.chunk_by(|row, next| row.position.map(|place| place + 1) == next.position) {
        left.extend(leave_checkpoint(connection, keys, run, &former, now).await?);
    }
    let ids: Vec<i64> = good.iter().map(|row| row.id).collect();
    security_event::delete(connection, &ids).await?;
    let damaged = damaged.iter().map(|row| row.id).collect();
    Ok(Batch { removed: ids.len(), damaged, left, last })
}

/// For rows next to each other, merged with the checkpoints that they lie between.
async fn leave_checkpoint(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    run: &[&SecurityEvent],
    former: &Former,
    now: DateTime<Utc>,
) -> Result<Option<Checkpoint>, Error> {
    let ends = run.first().zip(run.last());
    let parts = ends.and_then(|(first, last)| {
        Some((first.position?, former.of(first)?, last.position?, last.link.as_ref()?))
    });
    let Some((first, former_link, last, link)) = parts else { return Ok(None) };
    let mut checkpoint = Checkpoint {
        first_position: first,
        last_position: last,
        former_link: former_link.to_vec(),
        link: link.clone(),
        purged_at: now,
        key_version: keys.writing_version(),
        seal: Vec::new(),
    };
    let before = security_event_chain::find_ending(connection, first - 1).await?;
    if let Some(before) = before.filter(|before| is_ours(keys, before)) {
        checkpoint.first_position = before.first_position;
        checkpoint.former_link = before.former_link;
    }
    let after = security_event_chain::find_beginning(connection, last + 1).await?;
    if let Some(after) = after.filter(|after| is_ours(keys, after)) {
        checkpoint.last_position = after.last_position;
        checkpoint.link = after.link;
    }
    let seal = seal::checkpoint_seal(keys, &checkpoint);
    checkpoint.seal = seal.map(Vec::from).unwrap_or_default();
    security_event_chain::replace_checkpoints(connection, &checkpoint).await?;
    Ok(Some(checkpoint))
}

/// One that somebody changed is merged with nothing: it stays for verification to find.
fn is_ours(keys: &ChainKeys, checkpoint: &Checkpoint) -> bool {
    let checked = seal::check_checkpoint(keys, checkpoint, &checkpoint.former_link);
    if let Err(fault) = checked {
        let first_position = checkpoint.first_position;
        tracing::error!(first_position, fault, "security_event_checkpoint_damaged");
    }
    checked.is_ok()
}
