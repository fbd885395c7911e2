//! What grows by use is cleaned in bounded batches, by one replica at a time.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::QueryResult;
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use crate::error::Error;
use crate::models::auth_session::{self, Which};
use crate::models::{
    device, device_nonce, key_change, password_parameters, published_key, rate_limit,
};
use crate::sessions::{EndReason, end_now, retire_due};
use crate::state::State;

const EVERY: Duration = Duration::from_mins(1);
/// How soon to look again while the database is away.
const RETRY: Duration = Duration::from_secs(1);
const BATCH: i64 = 1000;
/// Each of these is a transaction of its own.
const RETIRED_AT_ONCE: i64 = 100;
/// How often the pool of connections is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// An ended session's rotations count against its device's next one for an hour.
const ENDED_LIFE: TimeDelta = TimeDelta::hours(1);
const KEY_STATES: [&str; 3] = ["waiting", "active", "revoked"];
/// A device that nobody has signed in on goes after this.
const UNBOUND_LIFE: TimeDelta = TimeDelta::days(1);
/// Any number that no other lock of ours has.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(7305790111) AS got";

#[derive(diesel::QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    got: bool,
}

/// Runs until the service drains.
pub(crate) async fn run(state: State) {
    let mut parameters = Vec::new();
    loop {
        let pause = match turn(&state, &mut parameters).await {
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

async fn turn(state: &State, parameters: &mut Vec<String>) -> Result<(), Error> {
    watch_parameters(state, parameters).await?;
    end_expired(state).await?;
    while retire_due(state, RETIRED_AT_ONCE).await? > 0 {}
    let mut connection = state.pool.get().await?;
    while connection.transaction(async |connection| clean(state, connection).await).await? {}
    count_keys(state, &mut connection).await?;
    Ok(())
}

/// Ends the sessions whose life is over, user by user, each under the locks of any other end.
async fn end_expired(state: &State) -> Result<(), Error> {
    loop {
        let now = state.clock.now();
        let mut connection = state.pool.get().await?;
        let users = auth_session::list_users_with_expired(&mut connection, now, BATCH).await?;
        drop(connection);
        if users.is_empty() {
            return Ok(());
        }
        for user in users {
            end_now(state, user, Which::Expired(now), EndReason::Expired).await?;
        }
    }
}

async fn count_keys(state: &State, connection: &mut AsyncPgConnection) -> QueryResult<()> {
    let counted = published_key::count_by_state(connection).await?;
    for name in KEY_STATES {
        let count = counted.iter().find(|(state, _)| state == name).map_or(0, |(_, count)| *count);
        state.metrics.keys.with_label_values(&[name]).set(count);
    }
    Ok(())
}

/// Runs until the service drains.
pub(crate) async fn watch_connections(state: State) {
    loop {
        count_connections(&state);
        tokio::select! {
            () = state.draining.cancelled() => return,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
    }
}

/// The floor under failed logins follows the parameters that stored hashes have.
async fn watch_parameters(state: &State, known: &mut Vec<String>) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    let stored = password_parameters::list(&mut connection).await?;
    drop(connection);
    if stored != *known {
        state.hasher.calibrate(stored.clone()).await?;
        *known = stored;
    }
    Ok(())
}

fn count_connections(state: &State) {
    let pool = state.pool.state();
    let gauge = &state.metrics.database_connections;
    gauge.with_label_values(&["idle"]).set(pool.idle_connections.into());
    gauge.with_label_values(&["open"]).set(pool.connections.into());
}

/// One batch of each; says whether any was full.
async fn clean(state: &State, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    let lock: Lock = diesel::sql_query(LOCK).get_result(connection).await?;
    if !lock.got {
        return Ok(false);
    }
    let now = state.clock.now();
    let removed = [
        ("unbound_devices", device::delete_unbound(connection, now - UNBOUND_LIFE, BATCH).await?),
        ("nonces", device_nonce::delete_expired(connection, now, BATCH).await?),
        ("feed_entries", key_change::delete_expired(connection, now, BATCH).await?),
        ("sessions", auth_session::delete_ended(connection, now - ENDED_LIFE, BATCH).await?),
        ("rate_limits", rate_limit::delete_expired(connection, now, BATCH).await?),
        ("revoked_keys", published_key::delete_expired(connection, now, BATCH).await?),
    ];
    for (what, count) in removed.iter().filter(|(_, count)| *count > 0) {
        tracing::info!(what, count, "cleaned");
    }
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    Ok(removed.iter().any(|(_, count)| *count >= full))
}
