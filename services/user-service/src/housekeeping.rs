//! What grows by use is cleaned in bounded batches, by one replica at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::database::Database;
use common::housekeeping::{BATCH, Clean, Cleaned, clean_all};
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use crate::audit::Rounds;
use crate::config::LONGEST_STEP_BACK_WINDOW;
use crate::error::Error;
use crate::models::auth_session::{self, Which};
use crate::models::{
    api_key, cookie_rollout_session, device, device_nonce, key_change, passkey_challenge,
    password_parameters, published_key, rate_limit, service_key,
};
use crate::sessions::{EndReason, end, end_now, retire_batch, retire_due};
use crate::state::State;

const EVERY: Duration = Duration::from_mins(1);
/// How soon to look again while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// Each of these is a transaction of its own.
const RETIRED_AT_ONCE: i64 = 100;
/// How often the pool of connections is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// An ended session's rotations count against its device's next one for an hour.
const ENDED_LIFE: TimeDelta = TimeDelta::hours(1);
/// Keys are counted up to here.
const COUNTED: i64 = 100_000;
const KEY_STATES: [&str; 3] = ["waiting", "active", "revoked"];
/// A device that nobody has signed in on goes after this.
const UNBOUND_LIFE: TimeDelta = TimeDelta::days(1);
/// Nor does one stay on which nobody has signed in, or still is, for this long.
const UNUSED_LIFE: TimeDelta = TimeDelta::days(365);

/// What is past by a clock.
struct Past {
    clock: Clock,
}

/// Runs until the service drains.
pub(crate) async fn run(state: State, mut rounds: Rounds) {
    let mut parameters = Vec::new();
    loop {
        let pause = match turn(&state, &mut parameters, &mut rounds).await {
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

async fn turn(
    state: &State,
    parameters: &mut Vec<String>,
    rounds: &mut Rounds,
) -> Result<(), Error> {
    watch_parameters(state, parameters).await?;
    end_expired(state).await?;
    while retire_due(state, RETIRED_AT_ONCE).await? > 0 {}
    let mut connection = state.pool.get().await?;
    let past = Past { clock: state.clock.clone() };
    clean_all(&mut connection, &past).await?.count(&state.metrics.cleaned);
    purge_events(state, &mut connection, rounds).await?;
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

/// What was tampered with stays, for whoever looks into it.
async fn purge_events(
    state: &State,
    connection: &mut AsyncPgConnection,
    rounds: &mut Rounds,
) -> Result<(), Error> {
    let purged = rounds.purge(connection, state.audit.keys(), state.clock.now()).await?;
    let removed = u64::try_from(purged.removed).unwrap_or(u64::MAX);
    state.metrics.cleaned.with_label_values(&["security_events"]).inc_by(removed);
    let (rows, checkpoints) = rounds.damaged();
    state.metrics.checkpoints_damaged.set(i64::try_from(checkpoints).unwrap_or(i64::MAX));
    state.metrics.security_events_damaged.set(i64::try_from(rows).unwrap_or(i64::MAX));
    if let Some(id) = purged.damaged.first() {
        tracing::error!(id, rows = purged.damaged.len(), "security_events_damaged");
    }
    if let Some(first_position) = purged.damaged_checkpoints.first() {
        let checkpoints = purged.damaged_checkpoints.len();
        tracing::error!(first_position, checkpoints, "security_event_checkpoints_damaged");
    }
    Ok(())
}

async fn count_keys(state: &State, connection: &mut AsyncPgConnection) -> QueryResult<()> {
    for name in KEY_STATES {
        let count = published_key::count(connection, name, COUNTED).await?;
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

/// Cleans as a running service does. For commands: an error says what was wrong with the database.
pub async fn clean_up(database: &Database) -> Result<Cleaned, String> {
    let clock = Clock::default();
    let now = clock.now();
    let failed = |error: QueryError| format!("database: {error}");
    let connected = database.connect().await;
    let mut connection = connected.map_err(|error| format!("`database.url`: {error}"))?;
    let expired = end_expired_rows(&mut connection, now).await.map_err(failed)?;
    let mut retired = 0;
    loop {
        let due = retire_batch(&mut connection, now, RETIRED_AT_ONCE).await.map_err(failed)?;
        if due.is_empty() {
            break;
        }
        retired += due.len();
    }
    let mut cleaned = clean_all(&mut connection, &Past { clock }).await.map_err(failed)?;
    cleaned.removed.insert("expired_sessions_ended", expired);
    cleaned.removed.insert("moved_keys_retired", retired);
    Ok(cleaned)
}

async fn end_expired_rows(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let (which, reason) = (Which::Expired(now), EndReason::Expired);
    let mut count = 0;
    loop {
        let users = auth_session::list_users_with_expired(connection, now, BATCH).await?;
        if users.is_empty() {
            return Ok(count);
        }
        for user in users {
            let ended = connection
                .transaction(async |connection| end(connection, user, which, reason, now).await)
                .await?;
            count += ended.len();
        }
    }
}

impl Clean for Past {
    /// Any number that no other lock of ours has.
    const LOCK: i64 = 7_305_790_111;

    async fn remove(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<Vec<(&'static str, usize)>> {
        let now = self.clock.now();
        // As whoever retired them wrote when they end.
        let ring_now = service_key::now(connection, &self.clock).await?;
        let (unused, unbound) = (now - UNUSED_LIFE, now - UNBOUND_LIFE);
        let uncounted = now - LONGEST_STEP_BACK_WINDOW;
        Ok(vec![
            ("unused_devices", device::delete_unused(connection, unused, BATCH).await?),
            ("unbound_devices", device::delete_unbound(connection, unbound, BATCH).await?),
            ("nonces", device_nonce::delete_expired(connection, now, BATCH).await?),
            ("feed_entries", key_change::delete_expired(connection, now, BATCH).await?),
            ("sessions", auth_session::delete_ended(connection, now - ENDED_LIFE, BATCH).await?),
            ("browsers", device::delete_browsers(connection, now - ENDED_LIFE, BATCH).await?),
            ("api_keys", api_key::delete_expired(connection, now, BATCH).await?),
            ("challenges", passkey_challenge::delete_expired(connection, now, BATCH).await?),
            (
                "rollout_sessions",
                cookie_rollout_session::delete_seen(connection, uncounted, BATCH).await?,
            ),
            ("rate_limits", rate_limit::delete_expired(connection, now, BATCH).await?),
            ("revoked_keys", published_key::delete_expired(connection, now, BATCH).await?),
            ("service_keys", service_key::delete_expired(connection, ring_now, BATCH).await?),
        ])
    }
}
