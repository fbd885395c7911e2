//! What grows by use is cleaned in bounded batches, by one replica at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::database::Database;
use common::housekeeping::{BATCH, Clean, Cleaned, clean_all};
use common::settings::Period;
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use prometheus::IntGaugeVec;

use crate::error::Error;
use crate::models::{
    authorization_state, drawn_token, grant_count, grant_end, logout_token, provider_call,
    token_use, user_session,
};
use crate::sessions::end_expired;
use crate::state::State;
use crate::vault::queue_unshared;

const EVERY: Duration = Duration::from_mins(1);
/// How soon to look again while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// Sessions that have ended and grants that have died stay this long, for whoever asks why.
const ENDED_LIFE: TimeDelta = TimeDelta::days(90);
/// An online grant that has expired answers for so much longer that it is over; then its id is
/// unknown.
const EXPIRED_GRANT_LIFE: TimeDelta = TimeDelta::days(7);

/// What is past at a time.
struct Past {
    now: DateTime<Utc>,
    /// `vault.ledger_life`.
    ledger_life: Period,
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
    let now = state.clock.now();
    if end_overdue(&mut connection, now).await?.revocations > 0 {
        state.outbox.wake();
    }
    let past = Past { now, ledger_life: state.settings.vault.ledger_life };
    clean_all(&mut connection, &past).await?.count(&state.metrics.cleaned);
    count_grants(&mut connection, &state.metrics.grants).await?;
    Ok(())
}

/// What was ended because its time had come.
struct Overdue {
    sessions: usize,
    revocations: usize,
}

/// Ends sessions whose time has run out, and has revoked what waited for a grant that is over.
async fn end_overdue(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<Overdue> {
    let sessions = end_expired(connection, now, BATCH).await?;
    let revocations = queue_unshared(connection, now, BATCH).await?;
    if sessions + revocations > 0 {
        tracing::info!(sessions, revocations, "overdue_ended");
    }
    Ok(Overdue { sessions, revocations })
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

/// Cleans as a running service does. For commands: an error says what was wrong with the database.
pub async fn clean_up(database: &Database, ledger_life: Period) -> Result<Cleaned, String> {
    let failed = |error: QueryError| format!("database: {error}");
    let now = Clock::default().now();
    let connected = database.connect().await;
    let mut connection = connected.map_err(|error| format!("`database.url`: {error}"))?;
    let overdue = end_overdue(&mut connection, now).await.map_err(failed)?;
    let past = Past { now, ledger_life };
    let mut cleaned = clean_all(&mut connection, &past).await.map_err(failed)?;
    cleaned.removed.insert("expired_sessions_ended", overdue.sessions);
    cleaned.removed.insert("revocations_queued", overdue.revocations);
    Ok(cleaned)
}

impl Clean for Past {
    /// Any number that no other lock of ours has.
    const LOCK: i64 = 7_305_790_121;

    async fn remove(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<Vec<(&'static str, usize)>> {
        let now = self.now;
        let (used, ended) = (now - self.ledger_life.as_delta(), now - ENDED_LIFE);
        let expired = now - EXPIRED_GRANT_LIFE;
        Ok(vec![
            ("states", authorization_state::delete_expired(connection, now, BATCH).await?),
            ("drawn_tokens", drawn_token::delete_expired(connection, now, BATCH).await?),
            ("ledger_entries", token_use::delete_before(connection, used, BATCH).await?),
            ("heard_calls", provider_call::delete_ended(connection, now, BATCH).await?),
            ("logout_tokens", logout_token::delete_expired(connection, now, BATCH).await?),
            ("expired_grants", grant_end::delete_expired(connection, expired, BATCH).await?),
            ("dead_grants", grant_end::delete_dead(connection, ended, BATCH).await?),
            ("ended_sessions", user_session::delete_ended(connection, ended, BATCH).await?),
        ])
    }
}
