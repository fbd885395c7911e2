//! What grows by use is cleaned in bounded batches, by one replica at a time, and the pool is
//! counted.

use std::time::Duration;

use actix_web::web;
use diesel::QueryResult;
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use crate::error::Error;
use crate::models::room_invitation;
use crate::state::State;

const EVERY: Duration = Duration::from_secs(10);
const BATCH: i64 = 1000;
/// Any number that no other lock of ours has.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(7305790131) AS got";

#[derive(diesel::QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    got: bool,
}

/// Runs until the service drains.
pub(crate) async fn run(state: web::Data<State>) {
    loop {
        count_connections(&state);
        if let Err(error) = clean_all(&state).await {
            tracing::warn!(%error, "housekeeping_failed");
        }
        tokio::select! {
            () = state.draining.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn count_connections(state: &State) {
    let pool = state.pool.state();
    let gauge = &state.metrics.database_connections;
    gauge.with_label_values(&["idle"]).set(pool.idle_connections.into());
    gauge.with_label_values(&["open"]).set(pool.connections.into());
}

/// Batch after batch, each in a transaction of its own, until there is nothing left or somebody
/// else is at it.
async fn clean_all(state: &State) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    loop {
        let count =
            connection.transaction(async |connection| clean(state, connection).await).await?;
        let cleaned = state.metrics.cleaned.with_label_values(&["invitations"]);
        cleaned.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        if count < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// One batch; nothing where somebody else is at it.
async fn clean(state: &State, connection: &mut AsyncPgConnection) -> QueryResult<usize> {
    let lock: Lock = diesel::sql_query(LOCK).get_result(connection).await?;
    if !lock.got {
        return Ok(0);
    }
    let count = room_invitation::delete_expired(connection, state.clock.now(), BATCH).await?;
    if count > 0 {
        tracing::info!(what = "invitations", count, "cleaned");
    }
    Ok(count)
}
