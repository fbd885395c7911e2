//! What grows by use is cleaned in bounded batches, and the pool is counted.

use std::time::Duration;

use actix_web::web;

use crate::error::Error;
use crate::models::room_invitation;
use crate::state::State;

const EVERY: Duration = Duration::from_secs(10);
const BATCH: i64 = 1000;

/// Runs until the service drains.
pub(crate) async fn run(state: web::Data<State>) {
    loop {
        count_connections(&state);
        if let Err(error) = clean(&state).await {
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

async fn clean(state: &State) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    let count = room_invitation::delete_expired(&mut connection, state.clock.now(), BATCH).await?;
    if count > 0 {
        tracing::info!(what = "invitations", count, "cleaned");
    }
    Ok(())
}
