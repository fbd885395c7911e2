//! What purges leave in the place of rows, and what of it somebody changed.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;

use super::ChainKeys;
use super::former::Former;
use super::seal;
use crate::error::Error;
use crate::models::security_event::SecurityEvent;
use crate::models::security_event_chain::{self, Checkpoint};

const PAGE: i64 = 1000;

/// Looks at all checkpoints: where those begin that no purge has left like this, and the last of
/// the others.
pub(super) async fn check_all(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
) -> Result<(Vec<i64>, Option<Checkpoint>), Error> {
    let (mut damaged, mut last, mut after) = (Vec::new(), None::<Checkpoint>, i64::MIN);
    loop {
        let page = security_event_chain::list_checkpoints(connection, after, PAGE).await?;
        let Some(end) = page.last() else { return Ok((damaged, last)) };
        after = end.first_position;
        for checkpoint in page {
            let behind = |last: &Checkpoint| last.last_position < checkpoint.first_position;
            if last.as_ref().is_none_or(behind) && is_ours(keys, &checkpoint) {
                last = Some(checkpoint);
            } else {
                damaged.push(checkpoint.first_position);
            }
        }
    }
}

/// A row that is what was linked, as a checkpoint needs it.
pub(super) struct Place<'a> {
    pub(super) id: i64,
    pub(super) position: i64,
    former_link: &'a [u8],
    link: &'a [u8],
}

impl<'a> Place<'a> {
    /// None where `row` is not what was linked.
    pub(super) fn check(
        keys: &ChainKeys,
        row: &'a SecurityEvent,
        former: &'a Former,
    ) -> Option<Self> {
        former.check(keys, row).ok()?;
        let (position, former_link, link) = (row.position?, former.of(row)?, row.link.as_ref()?);
        Some(Self { id: row.id, position, former_link, link })
    }
}

/// Leaves a checkpoint for `run`, rows next to each other, merged with those that it lies between;
/// answers it and the rows that it stands for, none where there is none.
///
/// What somebody put into its place is merged with nothing and stays for verification to find: the
/// row at an end of `run` that it stands in the way of stays with it.
pub(super) async fn leave<'a>(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    run: &'a [Place<'a>],
    now: DateTime<Utc>,
) -> Result<Option<(Checkpoint, &'a [Place<'a>])>, Error> {
    let Some((first, last)) = run.first().zip(run.last()) else { return Ok(None) };
    let near = security_event_chain::list_near(connection, first.position, last.position).await?;
    let before = near.iter().find(|it| {
        let next_to_it = it.last_position == first.position - 1 && it.link == first.former_link;
        next_to_it && is_ours(keys, it)
    });
    let after = near.iter().find(|it| {
        let next_to_it = it.first_position == last.position + 1 && it.former_link == last.link;
        next_to_it && is_ours(keys, it)
    });
    let mut rows = run;
    if before.is_none() {
        let taken = |row: &Place<'_>| near.iter().any(|it| it.first_position == row.position);
        rows = &rows[rows.iter().take_while(|row| taken(row)).count()..];
    }
    if after.is_none() {
        let taken = |row: &Place<'_>| near.iter().any(|it| it.last_position == row.position);
        rows = &rows[..rows.len() - rows.iter().rev().take_while(|row| taken(row)).count()];
    }
    let Some((first, last)) = rows.first().zip(rows.last()) else { return Ok(None) };
    let mut checkpoint = Checkpoint {
        first_position: before.map_or(first.position, |it| it.first_position),
        last_position: after.map_or(last.position, |it| it.last_position),
        former_link: before.map_or(first.former_link, |it| &it.former_link).to_vec(),
        link: after.map_or(last.link, |it| &it.link).to_vec(),
        purged_at: now,
        key_version: keys.writing_version(),
        seal: Vec::new(),
    };
    checkpoint.seal = seal::checkpoint_seal(keys, &checkpoint).map(Vec::from).unwrap_or_default();
    let merged: Vec<i64> = [before, after].iter().flatten().map(|it| it.first_position).collect();
    security_event_chain::replace_checkpoints(connection, &merged, &checkpoint).await?;
    Ok(Some((checkpoint, rows)))
}

fn is_ours(keys: &ChainKeys, checkpoint: &Checkpoint) -> bool {
    seal::check_checkpoint(keys, checkpoint, &checkpoint.former_link).is_ok()
}
