//! What grows by use is cleaned in bounded batches, by one replica at a time.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::QueryResult;
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use prometheus::IntGaugeVec;

use crate::error::Error;
use crate::models::{
    authorization_state, drawn_token, grant_count, logout_token, token_use, user_session,
};
use crate::state::State;

const EVERY: Duration = Duration::from_mins(1);
/// How soon to look again while the database is away.
const RETRY: Duration = Duration::from_secs(1);
const BATCH: i64 = 1000;
/// Sessions that have ended stay in their owner's list no longer than this.
const ENDED_SESSION_LIFE: TimeDelta = TimeDelta::days(90);
/// Any number that no other lock of ours has.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(7305790121) AS got";

#[derive(diesel::QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    got: bool,
}

/// Runs until the service drains.
pub(crate) async fn run(state: State) {
    loop {
        let pause = match turn(&state).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "housekeeping_failed");
                RETRY
            }
        };
        tokio::select! {
            () = state.draining.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn turn(state: &State) -> Result<(), Error> {
    count_connections(state);
    let mut connection = state.pool.get().await?;
    while connection.transaction(async |connection| clean(state, connection).await).await? {}
    count_grants(&mut connection, &state.metrics.grants).await?;
    Ok(())
}

fn count_connections(state: &State) {
    let pool = state.pool.state();
    let gauge = &state.metrics.database_connections;
    gauge.with_label_values(&["idle"]).set(pool.idle_connections.into());
    gauge.with_label_values(&["open"]).set(pool.connections.into());
}

/// Sets `gauge` to the grants by type, state and key; what there are none of any more is no longer
/// told.
pub async fn count_grants(
    connection: &mut AsyncPgConnection,
    gauge: &IntGaugeVec,
) -> QueryResult<()> {
    let counts = grant_count::count(connection).await?;
    gauge.reset();
    for count in counts {
        let labels = [&count.token_type, &count.state, &count.sealing_key_id];
        gauge.with_label_values(&labels.map(String::as_str)).set(count.rows);
    }
    Ok(())
}

/// One batch of each; says whether any was full.
async fn clean(state: &State, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    let lock: Lock = diesel::sql_query(LOCK).get_result(connection).await?;
    if !lock.got {
        return Ok(false);
    }
    let now = state.clock.now();
    let old = now - ENDED_SESSION_LIFE;
    let ledger_life = state.settings.vault.ledger_life.as_delta();
    let removed = [
        ("states", authorization_state::delete_expired(connection, now, BATCH).await?),
        ("drawn_tokens", drawn_token::delete_expired(connection, now, BATCH).await?),
        ("ledger_entries", token_use::delete_before(connection, now - ledger_life, BATCH).await?),
        ("logout_tokens", logout_token::delete_expired(connection, now, BATCH).await?),
        ("ended_sessions", user_session::delete_ended(connection, old, BATCH).await?),
    ];
    for (what, count) in removed.iter().filter(|(_, count)| *count > 0) {
        tracing::info!(what, count, "cleaned");
    }
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    Ok(removed.iter().any(|(_, count)| *count >= full))
}
