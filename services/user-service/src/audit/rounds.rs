//! Purges of a running service, one after the other: each looks at what is newly past, and once an
//! hour at what had to stay as well.

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncPgConnection;

use super::ChainKeys;
use super::purge::{Purged, purge_all};
use super::rules::Rules;
use crate::error::Error;

const ALL_AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// What the purges so far have looked at, and how much of it stays.
pub struct Rounds {
    rules: Rules,
    last: Option<Last>,
}

struct Last {
    all_at: DateTime<Utc>,
    /// Of each kind, all that is older was looked at.
    before: Vec<DateTime<Utc>>,
    rows: usize,
    checkpoints: usize,
}

impl Rounds {
    /// That have not begun.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, last: None }
    }

    /// Removes what is past at `now`; answers what it came to this time.
    pub async fn purge(
        &mut self,
        connection: &mut AsyncPgConnection,
        keys: &ChainKeys,
        now: DateTime<Utc>,
    ) -> Result<Purged, Error> {
        // Whichever way the clock was turned.
        let last = self.last.take().filter(|last| (now - last.all_at).abs() < ALL_AGAIN_AFTER);
        let since = last.as_ref().map(|last| &last.before[..]);
        let purged = purge_all(connection, keys, &self.rules, since, now).await?;
        let (_, mut before) = self.rules.due(now);
        // A clock turned back makes nothing new of what was looked at.
        for (before, since) in before.iter_mut().zip(since.unwrap_or_default()) {
            *before = (*before).max(*since);
        }
        let last =
            last.unwrap_or(Last { all_at: now, before: Vec::new(), rows: 0, checkpoints: 0 });
        self.last = Some(Last {
            before,
            rows: last.rows + purged.damaged.len(),
            checkpoints: last.checkpoints + purged.damaged_checkpoints.len(),
            ..last
        });
        Ok(purged)
    }

    /// How many rows that are past stay, and how many checkpoints are not as a purge left them, as
    /// far as was seen within the last hour.
    #[must_use]
    pub fn damaged(&self) -> (usize, usize) {
        self.last.as_ref().map_or((0, 0), |last| (last.rows, last.checkpoints))
    }
}
