//! The chainer: one replica at a time links what is committed.

use std::time::{Duration, Instant};

use common::database::try_lock_for_transaction;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::ChainKeys;
use super::seal::{self, BEGINNING};
use crate::error::Error;
use crate::models::security_event::{self, Linked, SecurityEvent};
use crate::models::security_event_chain::{self, Head};
use crate::state::State;

/// Whoever links, purges or forgets holds it until its transaction ends. Any number that no other
/// lock of ours has.
const LOCK: i64 = 7_305_790_140;
/// How long a row waits at most where its own process does not say that it is there.
const EVERY: Duration = Duration::from_secs(1);
const BATCH: i64 = 500;
/// How often the chain's end goes into the log, which is outside the database.
const TELL_EVERY: Duration = Duration::from_hours(1);

/// Runs until the service drains, and once more then.
pub(crate) async fn run(state: State) {
    let mut told: Option<(Instant, i64)> = None;
    loop {
        let last = state.draining.is_cancelled();
        if let Err(error) = turn(&state, &mut told).await {
            tracing::error!(%error, "security_events_not_linked");
        }
        if last {
            return;
        }
        tokio::select! {
            () = state.draining.cancelled() => {}
            () = state.audit.written.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn turn(state: &State, told: &mut Option<(Instant, i64)>) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    if told.is_none_or(|(at, _)| at.elapsed() >= TELL_EVERY) {
        tell_head(&mut connection, told).await?;
    }
    if !security_event::any_pending(&mut connection).await? {
        return Ok(());
    }
    let keys = state.audit.keys();
    let linked = state.metrics.security_events.with_label_values(&["linked"]);
    while let Some(count) = link_batch(&mut connection, keys, false).await? {
        linked.inc_by(u64::try_from(count).unwrap_or_default());
        if count < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(())
}

/// Where the chain ends goes into the log, once if it does not grow.
async fn tell_head(
    connection: &mut AsyncPgConnection,
    told: &mut Option<(Instant, i64)>,
) -> Result<(), Error> {
    let Some(head) = security_event_chain::find_head(connection).await? else { return Ok(()) };
    if told.is_none_or(|(_, position)| position != head.position) {
        let (link, seal) = (hex::encode(&head.link), hex::encode(&head.seal));
        let (position, key_version) = (head.position, head.key_version);
        tracing::info!(position, link, key_version, seal, "security_event_head");
    }
    *told = Some((Instant::now(), head.position));
    Ok(())
}

/// Links all that is committed now, after whoever is at it.
pub(super) async fn link_all(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
) -> Result<(), Error> {
    while link_batch(connection, keys, true).await?.is_some_and(|count| count > 0) {}
    Ok(())
}

/// Takes the chain's lock until the transaction ends.
pub(super) async fn lock(connection: &mut AsyncPgConnection) -> Result<(), Error> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

/// How many were linked; none where another process is at it and is not waited for.
async fn link_batch(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    wait: bool,
) -> Result<Option<usize>, Error> {
    connection
        .transaction(async |connection| {
            if wait {
                lock(connection).await?;
            } else if !try_lock_for_transaction(connection, LOCK).await? {
                return Ok(None);
            }
            let head = read_head(connection, keys).await?;
            let pending = security_event::list_pending(connection, BATCH).await?;
            let (rows, head) = link_rows(keys, &pending, head)?;
            if !rows.is_empty() {
                security_event::link(connection, &rows).await?;
                security_event_chain::save_head(connection, &head).await?;
            }
            Ok(Some(rows.len()))
        })
        .await
}

/// Nothing is linked to a head that somebody else wrote.
async fn read_head(connection: &mut AsyncPgConnection, keys: &ChainKeys) -> Result<Head, Error> {
    match security_event_chain::find_head(connection).await? {
        Some(head) => {
            seal::check_head(keys, &head).map_err(|fault| Error::Internal(fault.to_owned()))?;
            Ok(head)
        }
        None => new_head(keys, 0, &BEGINNING),
    }
}

fn new_head(keys: &ChainKeys, position: i64, link: &[u8]) -> Result<Head, Error> {
    seal::head(keys, position, link).ok_or_else(no_key)
}

fn no_key() -> Error {
    Error::Internal("the writing key of `audit.chain_keys` is missing".to_owned())
}

fn link_rows(
    keys: &ChainKeys,
    pending: &[SecurityEvent],
    head: Head,
) -> Result<(Vec<Linked>, Head), Error> {
    let key_version = keys.writing_version();
    let (mut position, mut former) = (head.position, head.link);
    let mut rows = Vec::with_capacity(pending.len());
    for row in pending {
        position += 1;
        // Whoever wrote a row without a salt was none of us; verification will say so.
        let personal_digest = seal::personal_digest(row, row.salt.unwrap_or_default());
        let link = seal::link(keys, key_version, row, position, &personal_digest, &former)
            .ok_or_else(no_key)?;
        former = link.to_vec();
        rows.push(Linked { id: row.id, position, personal_digest, link, key_version });
    }
    Ok((rows, new_head(keys, position, &former)?))
}
