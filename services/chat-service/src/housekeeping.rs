//! What grows by use is cleaned in bounded batches, by one replica at a time, and the pool is
//! counted.

use std::time::Duration;

use actix_web::web;
use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::Database;
use common::housekeeping::{self, BATCH, Clean, Cleaned};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::error::Error;
use crate::models::room_invitation;
use crate::state::State;

const EVERY: Duration = Duration::from_secs(10);

/// What is past at a time.
struct Past {
    now: DateTime<Utc>,
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

async fn clean_all(state: &State) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    let past = Past { now: state.clock.now() };
    housekeeping::clean_all(&mut connection, &past).await?.count(&state.metrics.cleaned);
    Ok(())
}

/// Cleans as a running service does. For commands: an error says what was wrong with the database.
pub async fn clean_up(database: &Database) -> Result<Cleaned, String> {
    housekeeping::clean_up(database, &Past { now: Clock::default().now() }).await
}

impl Clean for Past {
    /// Any number that no other lock of ours has.
    const LOCK: i64 = 7_305_790_131;

    async fn remove(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<Vec<(&'static str, usize)>> {
        let invitations = room_invitation::delete_expired(connection, self.now, BATCH).await?;
        Ok(vec![("invitations", invitations)])
    }
}
