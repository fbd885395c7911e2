use std::collections::HashMap;

use diesel_async::AsyncPgConnection;

use super::ChainKeys;
use super::seal::{self, BEGINNING, Fault};
use crate::error::Error;
use crate::models::security_event::{self, SecurityEvent};
use crate::models::security_event_chain;

/// The links before rows, by the rows' places. What is purged or forgotten is looked at first:
/// neither may cover up that somebody changed it.
pub(super) struct Former(HashMap<i64, Vec<u8>>);

impl Former {
    pub(super) async fn load(
        connection: &mut AsyncPgConnection,
        rows: &[SecurityEvent],
    ) -> Result<Self, Error> {
        let places = rows.iter().filter_map(|row| row.position);
        let before: Vec<i64> = places.map(|place| place.saturating_sub(1)).collect();
        let links = security_event::list_links(connection, &before).await?;
        let mut former: HashMap<i64, Vec<u8>> =
            links.into_iter().filter_map(|(place, link)| Some((place? + 1, link?))).collect();
        former.insert(1, BEGINNING.to_vec());
        let missing: Vec<i64> =
            before.into_iter().filter(|place| !former.contains_key(&(place + 1))).collect();
        let checkpoints = security_event_chain::list_ending(connection, &missing).await?;
        former.extend(checkpoints.into_iter().map(|it| (it.last_position + 1, it.link)));
        Ok(Self(former))
    }

    pub(super) fn of(&self, row: &SecurityEvent) -> Option<&[u8]> {
        self.0.get(&row.position?).map(Vec::as_slice)
    }

    /// Whether `row` is what was linked.
    pub(super) fn check(&self, keys: &ChainKeys, row: &SecurityEvent) -> Result<(), Fault> {
        seal::check_row(keys, row, self.of(row).ok_or("the row before it is missing")?)
    }
}
