//! What must not be given up half-way: a token that has arrived is stored, or revoked.

use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::http::correlated;
use diesel::result::{DatabaseErrorKind as Kind, Error as QueryError};
use tokio::time::sleep;

use crate::error::Error;

/// The database may be away just now: a token that arrived is kept for so long.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);
const PAUSE: Duration = Duration::from_secs(1);

/// Does `work`, and while the database fails, again. The last failure is its outcome.
pub(crate) async fn surely<T, F>(clock: &Clock, work: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let until = clock.now() + PATIENCE;
    loop {
        match work().await {
            Err(Error::Database(_) | Error::Pool(_)) if clock.now() < until => sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// Where the account was unlinked meanwhile, what was asked for it is void.
pub(crate) fn void_if_unlinked(error: Error) -> Error {
    match error {
        Error::Database(QueryError::DatabaseError(Kind::ForeignKeyViolation, _)) => {
            Error::InvalidStateToken
        }
        error => error,
    }
}

/// Does `work` to its end, also when whoever waits for it has gone.
pub(crate) async fn to_its_end<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let done = tokio::spawn(correlated(work)).await;
    done.map_err(|error| Error::Internal(error.to_string()))?
}
