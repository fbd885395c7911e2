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

/// Removes what is past at `now`, batch by batch.
pub(super) async fn purge_all(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Purged, Error> {
    // No finer than it is exported, so that what is exported can be checked.
    let now = now.trunc_subsecs(3);
    let mut purged = Purged::default();
    loop {
        let Batch { removed, damaged, left } = connection
            .transaction(async |connection| purge(connection, keys, rules, now).await)
            .await?;
        left.iter().for_each(tell);
        purged.removed += removed;
        if removed == 0 || !damaged.is_empty() {
            purged.damaged = damaged;
            return Ok(purged);
        }
    }
}

/// What one transaction came to.
struct Batch {
    removed: usize,
    damaged: Vec<i64>,
    left: Vec<Checkpoint>,
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
) -> Result<Batch, Error> {
    lock(connection).await?;
    let (kinds, before) = rules.due(now);
    let past = security_event::list_past(connection, &kinds, &before, BATCH).await?;
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
    Ok(Batch { removed: ids.len(), damaged, left })
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
    if let Some(before) = security_event_chain::find_ending(connection, first - 1).await? {
        check(keys, &before)?;
        checkpoint.first_position = before.first_position;
        checkpoint.former_link = before.former_link;
    }
    if let Some(after) = security_event_chain::find_beginning(connection, last + 1).await? {
        check(keys, &after)?;
        checkpoint.last_position = after.last_position;
        checkpoint.link = after.link;
    }
    let seal = seal::checkpoint_seal(keys, &checkpoint);
    checkpoint.seal = seal.map(Vec::from).unwrap_or_default();
    security_event_chain::replace_checkpoints(connection, &checkpoint).await?;
    Ok(Some(checkpoint))
}

fn check(keys: &ChainKeys, checkpoint: &Checkpoint) -> Result<(), Error> {
    seal::check_checkpoint(keys, checkpoint, &checkpoint.former_link)
        .map_err(|fault| Error::Internal(fault.to_owned()))
}
