//! PostgreSQL: the pool, migrations, and LISTEN.

mod failure;
mod pool;
mod ssl_mode;
mod target;
mod tls;

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::BigInt;
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _};
use futures_util::StreamExt as _;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::time::sleep;

pub use pool::{Connection, Lent, Manager, Pool, PoolError};
pub use target::Database;

use crate::settings::{DeploymentEnvironment, Period, Secret};
use ssl_mode::Parameters;
use tls::Authority;

/// Section `database`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database`.
    #[serde(deserialize_with = "url")]
    pub url: Secret,
    /// Who vouches for the server, where the machine's authorities do not.
    pub ca_path: Option<String>,
    /// Connections in the pool.
    #[serde(deserialize_with = "crate::settings::positive")]
    pub max_connections: u32,
    /// How long a request waits for a connection.
    #[serde(deserialize_with = "crate::settings::positive")]
    pub connect_timeout: Period,
    /// How long one statement may run.
    #[serde(deserialize_with = "statement_timeout")]
    pub statement_timeout: Period,
}

impl DatabaseSettings {
    /// What is wrong, in one line that names the key.
    pub fn check(&self) -> Result<(), String> {
        locate(&self.url, self.ca_path.as_deref()).map(drop)
    }

    /// The database that is meant. Outside development the log tells of a server elsewhere that
    /// need not prove who it is.
    pub fn open(&self, environment: DeploymentEnvironment) -> Result<Database, String> {
        let database = locate(&self.url, self.ca_path.as_deref())?;
        if environment != DeploymentEnvironment::Development && database.is_exposed() {
            tracing::warn!(sslmode = database.ssl_mode(), "database_not_verified");
        }
        Ok(database)
    }

    /// A connection of one's own, for a command; an error says what stands against it.
    pub async fn connect(&self) -> Result<AsyncPgConnection, String> {
        let database = locate(&self.url, self.ca_path.as_deref())?;
        let connected = database.connect().await;
        connected.map_err(|error| format!("the database can't be reached: {error}"))
    }
}

/// A service's database by its settings `database.url` and `database.ca_path`; an error names the
/// one that is at fault.
pub fn locate(url: &Secret, ca_path: Option<&str>) -> Result<Database, String> {
    let authority = ca_path.map(Authority::read).transpose();
    let authority = authority.map_err(|error| format!("`database.ca_path`: {error}"))?;
    Database::proven_by(authority, url).map_err(|error| format!("`database.url`: {error}"))
}

/// Whether a database can be looked for at `url`; the error quotes nothing of it.
pub fn check_url(url: &Secret) -> Result<(), String> {
    Parameters::parse(url.expose()).map(drop)
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let url = Secret::deserialize(deserializer)?;
    check_url(&url).map_err(D::Error::custom)?;
    Ok(url)
}

/// PostgreSQL counts milliseconds in 31 bits, and takes 0 for no limit.
fn statement_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
    let period = Period::deserialize(deserializer)?;
    if (1..=i32::MAX.unsigned_abs().into()).contains(&period.0.as_millis()) {
        Ok(period)
    } else {
        Err(D::Error::custom("it must be between a millisecond and 24 days"))
    }
}

/// Applies the pending `migrations` and names them.
pub async fn migrate(
    database: &Database,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, String> {
    let connection = database
        .connect()
        .await
        .map_err(|error| format!("the database can't be reached: {error}"))?;
    let run = move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        harness
            .run_pending_migrations(migrations)
            .map(|versions| versions.iter().map(ToString::to_string).collect())
            .map_err(|error| format!("a migration failed: {error}"))
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}

diesel::define_sql_function! {
    /// Takes an advisory lock until the transaction ends, if nobody has it.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

diesel::define_sql_function! {
    /// Takes an advisory lock until the connection ends, if nobody has it.
    fn pg_try_advisory_lock(key: BigInt) -> Bool;
}

/// Whether this transaction has the advisory lock `key` until it ends; it does not wait for it.
pub async fn try_lock_for_transaction(
    connection: &mut AsyncPgConnection,
    key: i64,
) -> QueryResult<bool> {
    diesel::select(pg_try_advisory_xact_lock(key)).get_result(connection).await
}

/// Whether this connection has the advisory lock `key` until it ends; it does not wait for it.
pub async fn try_lock(connection: &mut AsyncPgConnection, key: i64) -> QueryResult<bool> {
    diesel::select(pg_try_advisory_lock(key)).get_result(connection).await
}

/// A readiness check: one statement on a connection of the pool.
pub async fn check(pool: Pool) -> Result<(), String> {
    let mut connection = pool.get().await.map_err(|error| error.to_string())?;
    connection.batch_execute("SELECT 1").await.map_err(|error| error.to_string())
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Listening has begun, or begun again: whatever was sent before now was missed.
    Connected,
    /// A notification with its payload.
    Notified(String),
    /// The connection was lost; it is being made again.
    Lost,
}

/// Listens on `channel` for ever, on a connection of its own, and makes it again when it breaks.
pub async fn listen(database: Database, channel: &'static str, mut on_wake: impl FnMut(Wake)) {
    const FIRST_RETRY: Duration = Duration::from_millis(100);
    const LAST_RETRY: Duration = Duration::from_secs(5);
    let mut retry = FIRST_RETRY;
    loop {
        match database.connect().await {
            Ok(mut connection) => {
                // The channel is a literal of the service, never input.
                if connection.batch_execute(&format!("LISTEN {channel}")).await.is_ok() {
                    retry = FIRST_RETRY;
                    on_wake(Wake::Connected);
                    relay(&mut connection, &mut on_wake).await;
                    on_wake(Wake::Lost);
                }
            }
            Err(error) => tracing::warn!(channel, %error, "listen_failed"),
        }
        sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

/// Hands on notifications until the connection breaks.
async fn relay(connection: &mut AsyncPgConnection, on_wake: &mut impl FnMut(Wake)) {
    let mut notifications = std::pin::pin!(connection.notifications_stream());
    while let Some(Ok(notification)) = notifications.next().await {
        on_wake(Wake::Notified(notification.payload));
    }
}

/// Whether `error` says that the database is away or too slow, rather than that a statement is
/// wrong.
#[must_use]
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        // Nothing but a lost connection, or what can't be made a message, fails to be sent.
        Error::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | Error::BrokenTransactionManager => true,
        Error::DatabaseError(_, information) => {
            let message = information.message();
            // statement_timeout, lock_timeout and a server going down have no kind of their own.
            message.contains("canceling statement")
                || message.contains("terminating connection")
                || message.contains("connection closed")
        }
        _ => false,
    }
}
