//! Forgetting a person: what is personal goes, and with its salt what its digest could be tested
//! by; the chain stays whole.

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::ChainKeys;
use super::chain::{link_all, lock};
use super::former::Former;
use super::seal;
use crate::error::Error;
use crate::models::security_event::{self, SecurityEvent};

const BATCH: i64 = 500;

/// Forgets `user` in every committed row; answers how many, and where somebody had changed one, its
/// id: it is left as it is.
pub(super) async fn forget(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    user: Uuid,
) -> Result<(usize, Vec<i64>), Error> {
    // A row without a link has no digest yet that could stand for what it held.
    link_all(connection, keys).await?;
    let (mut forgotten, mut damaged, mut after) = (0, Vec::new(), 0);
    loop {
        let rows = connection
            .transaction(async |connection| {
                lock(connection).await?;
                let rows = security_event::list_of_user(connection, user, after, BATCH).await?;
                let former = Former::load(connection, &rows).await?;
                for row in rows.iter().filter(|row| row.position.is_some()) {
                    if former.check(keys, row).is_err() {
                        damaged.push(row.id);
                        continue;
                    }
                    forgotten +=
                        security_event::forget(connection, row.id, &sealed(keys, row)?).await?;
                }
                Ok::<_, Error>(rows)
            })
            .await?;
        let Some(last) = rows.last() else { return Ok((forgotten, damaged)) };
        after = last.id;
    }
}

fn sealed(keys: &ChainKeys, row: &SecurityEvent) -> Result<[u8; 32], Error> {
    let (Some(position), Some(link), Some(version)) = (row.position, &row.link, row.key_version)
    else {
        return Err(Error::Internal("a row without a link".to_owned()));
    };
    seal::forgotten(keys, version, position, link)
        .ok_or_else(|| Error::Internal(format!("chain key {version} is not in the ring")))
}
