//! What keeps a replica's view of the ring fresh, and rotates it where settings say so.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::readiness::Turn;
use super::rotate::{self, Occasion, Refused};
use super::{Inner, Table};
use crate::error::Error;

/// How often the table is read when nothing wakes us.
const POLL: Duration = Duration::from_secs(2);

/// Runs until the last handle on the ring is gone.
pub(super) async fn run(ring: Weak<Inner>, wake: Arc<Notify>, rotate_every: TimeDelta) {
    let mut prepared = false;
    loop {
        let Some(inner) = ring.upgrade() else { return };
        let Some(table) = &inner.table else { return };
        let fault =
            turn(&inner, table, &mut prepared, rotate_every).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "service_keys_not_read");
                Some(error.to_string())
            });
        *table.turn.lock().unwrap_or_else(PoisonError::into_inner) = Turn::new(fault);
        table.turned.notify_waiters();
        drop(inner);
        // Woken or not, it is time to look.
        let _ = timeout(POLL, wake.notified()).await;
    }
}

/// Answers why keys could not be made, where they could not.
async fn turn(
    inner: &Inner,
    table: &Table,
    prepared: &mut bool,
    rotate_every: TimeDelta,
) -> Result<Option<String>, Error> {
    // First: what others have changed is not to wait for a place of keys that hangs.
    inner.read(Instant::now()).await?;
    // The keys that there are go on without those that can't be made now.
    let mut fault = None;
    if table.signs
        && let Err(error) = complete(inner, table, prepared).await
    {
        tracing::warn!(%error, "service_keys_not_made");
        fault = Some(error.to_string());
    }
    inner.read(Instant::now()).await?;
    if table.signs && rotate_every > TimeDelta::zero() {
        rotate_if_due(inner, table, rotate_every).await?;
    }
    Ok(fault)
}

async fn complete(inner: &Inner, table: &Table, prepared: &mut bool) -> Result<(), Error> {
    let mut connection = table.database.get().await?;
    if *prepared {
        rotate::fill(&mut connection, &table.stores, table.rules, &inner.clock).await?;
    } else {
        rotate::prepare(&mut connection, &table.stores, table.rules, &inner.clock).await?;
        *prepared = true;
    }
    Ok(())
}

/// Whichever replica comes first does it; the others find it done.
async fn rotate_if_due(inner: &Inner, table: &Table, every: TimeDelta) -> Result<(), Error> {
    let mut connection = table.database.get().await?;
    let occasion = Occasion::Due { every };
    match rotate::rotate(&mut connection, table.rules, &occasion, &inner.clock).await {
        Ok(rotation) => {
            tracing::info!(kid = rotation.current, retired = rotation.former, "keys_rotated");
            // The new next key is made at once, and this rotation read.
            table.wake.notify_one();
            Ok(())
        }
        Err(Refused::NotDue | Refused::ByAnother | Refused::NoNext) => Ok(()),
        Err(Refused::TooManyRetired(until)) => {
            tracing::warn!(%until, "key_rotation_postponed");
            Ok(())
        }
        Err(Refused::Failed(error)) => Err(error),
    }
}
