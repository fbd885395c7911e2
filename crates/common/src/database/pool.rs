//! The pool, and what keeps a connection that answers no more from being lent again and again.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8::{ErrorSink, ManageConnection, PooledConnection, QueueStrategy, RunError};
use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error, QueryResult};
use diesel_async::pooled_connection::{PoolError as ManageError, PoolableConnection as _};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::{Database, DatabaseSettings};

/// A pool of connections; clones share it.
pub type Pool = bb8::Pool<Manager>;
/// A connection lent by the pool.
pub type Connection<'a> = PooledConnection<'a, Manager>;
/// Why the pool lent none.
pub type PoolError = RunError<ManageError>;

/// Whoever was given an answer so lately is not asked for a sign of life: under load that would be
/// a round trip more for every request.
const TRUSTED: Duration = Duration::from_millis(100);
/// How long a sign of life may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Makes the pool's connections and looks after them.
pub struct Manager {
    database: Database,
    setup: String,
    runtime: Handle,
}

/// A connection of the pool: an [`AsyncPgConnection`] and what is known of its health.
pub struct Lent {
    connection: AsyncPgConnection,
    begun_at: Instant,
    answered_at: Instant,
    given_up: bool,
}

impl DatabaseSettings {
    /// A pool that connects to `database` on demand, so that a service starts while it is away. Its
    /// connections live on the runtime that this is called in: a worker that is done with its own
    /// requests ends, and must not take others' connections with it.
    #[must_use]
    pub fn pool(&self, database: &Database) -> Pool {
        self.pool_of(self.max_connections, database, "")
    }

    /// A pool of `connections` beside the other, for statements that come thousands of times a
    /// second and find their rows by keys alone. PostgreSQL plans each once for a connection; with
    /// an array among its parameters it would plan it anew each time, which takes five times as
    /// long as running it.
    #[must_use]
    pub fn planned_once(&self, connections: u32, database: &Database) -> Pool {
        // A plan made while the tables were small must do when they have grown.
        let setup = "; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
        self.pool_of(connections, database, setup)
    }

    fn pool_of(&self, connections: u32, database: &Database, setup: &str) -> Pool {
        let limit = self.statement_timeout.0.as_millis();
        let manager = Manager {
            database: database.clone(),
            setup: format!("SET statement_timeout = {limit}{setup}"),
            runtime: Handle::current(),
        };
        bb8::Pool::builder()
            .max_size(connections)
            .connection_timeout(self.connect_timeout.0)
            .error_sink(Box::new(Log::default()))
            // The one given back last has its statements prepared, here and at the server.
            .queue_strategy(QueueStrategy::Lifo)
            .build_unchecked(manager)
    }
}

impl Lent {
    /// What came of a statement that was given a limit. Past it the connection is thrown away: it
    /// may be silent for ever, and answers in the order of what it was asked.
    pub fn answered<T>(&mut self, outcome: Result<QueryResult<T>, Elapsed>) -> QueryResult<T> {
        outcome.unwrap_or_else(|_| {
            self.given_up = true;
            Err(lost("the database has not answered in time"))
        })
    }
}

impl Deref for Lent {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.connection
    }
}

impl ManageConnection for Manager {
    type Connection = Lent;
    type Error = ManageError;

    async fn connect(&self) -> Result<Lent, ManageError> {
        let (database, setup) = (self.database.clone(), self.setup.clone());
        let connecting = self.runtime.spawn(async move {
            let mut connection =
                database.connect().await.map_err(ConnectionError::BadConnection)?;
            let set_up = connection.batch_execute(&setup).await;
            set_up.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        });
        let connected = connecting
            .await
            .unwrap_or_else(|ended| Err(ConnectionError::BadConnection(ended.to_string())));
        let now = Instant::now();
        Ok(Lent {
            connection: connected.map_err(ManageError::ConnectionError)?,
            begun_at: now,
            answered_at: now,
            given_up: false,
        })
    }

    async fn is_valid(&self, lent: &mut Lent) -> Result<(), ManageError> {
        lent.begun_at = Instant::now();
        if lent.connection.is_broken() {
            let error = lost("the connection was lost while it waited in the pool");
            return Err(ManageError::QueryError(error));
        }
        if lent.answered_at.elapsed() < TRUSTED {
            return Ok(());
        }
        let sign = timeout(SIGN_OF_LIFE, lent.connection.batch_execute("SELECT 1")).await;
        lent.answered(sign).map_err(ManageError::QueryError)
    }

    fn has_broken(&self, lent: &mut Lent) -> bool {
        // Who kept it for longer may have left it in the middle of a statement.
        if lent.begun_at.elapsed() < SIGN_OF_LIFE {
            lent.answered_at = Instant::now();
        }
        std::thread::panicking() || lent.given_up || lent.connection.is_broken()
    }
}

/// Whoever waits for a connection is told only that there was none in time; the log says why, and
/// says it once in a while.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Option<Instant>>>);

impl ErrorSink<ManageError> for Log {
    fn sink(&self, error: ManageError) {
        const PAUSE: Duration = Duration::from_secs(5);
        // What broke while it waited in the pool is made again.
        let ManageError::ConnectionError(error) = error else { return };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= PAUSE) {
            *last = Some(Instant::now());
            tracing::warn!(%error, "database_connection_failed");
        }
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<ManageError>> {
        Box::new(self.clone())
    }
}

fn lost(reason: &str) -> Error {
    Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(reason.to_owned()))
}
