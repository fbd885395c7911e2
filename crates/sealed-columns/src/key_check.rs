use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::database::Pool;
use common::readiness::State;
use tokio::time::timeout;
use vault_crypto::Keyring;

use crate::SealedColumn;
use crate::key_use::find_missing_key;

/// How long a start waits for the database; one that is away must not keep a service from starting.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer stands, by a clock that may step back: other replicas may seal with a key that
/// was not in use before.
const STANDS: TimeDelta = TimeDelta::seconds(30);

/// Whether the ring has every key that is still in use. Where the database could not be asked at
/// the start, the service is not ready until it has been.
#[derive(Clone)]
pub struct KeyCheck {
    pool: Pool,
    columns: &'static [SealedColumn],
    keyring: Keyring,
    clock: Clock,
    /// None until the ring had every key once.
    last: Arc<Mutex<Option<Answer>>>,
}

#[derive(Clone)]
struct Answer {
    at: DateTime<Utc>,
    state: State,
}

enum Fault {
    Lacks(String),
    Unknown(String),
}

impl KeyCheck {
    /// Asks at once; a key that is lacking is an error in one line that says what to do.
    pub async fn start(
        pool: Pool,
        columns: &'static [SealedColumn],
        keyring: Keyring,
        clock: Clock,
    ) -> Result<Self, String> {
        let check = Self { pool, columns, keyring, clock, last: Arc::default() };
        match timeout(PATIENCE, check.ask()).await {
            Ok(Ok(())) => drop(check.keep(State::Ready)),
            Ok(Err(Fault::Lacks(line))) => return Err(line),
            Ok(Err(Fault::Unknown(reason))) => tracing::warn!(reason, "keys_in_use_unknown"),
            Err(_) => tracing::warn!(reason = "no answer", "keys_in_use_unknown"),
        }
        Ok(check)
    }

    /// For readiness: asks until the ring had every key once, and again from time to time. A key
    /// that has come into use since costs what it sealed, and all else is served.
    pub async fn readiness(self) -> State {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = &last
            && (self.clock.now() - last.at).abs() < STANDS
        {
            return last.state.clone();
        }
        match (self.ask().await, last) {
            (Ok(()), _) => self.keep(State::Ready),
            (Err(Fault::Lacks(line)), Some(_)) => self.keep(State::Degraded(line)),
            // That the database is away is another check's to say.
            (Err(Fault::Unknown(_)), Some(last)) => last.state,
            (Err(Fault::Lacks(reason) | Fault::Unknown(reason)), None) => State::NotReady(reason),
        }
    }

    fn keep(&self, state: State) -> State {
        let answer = Answer { at: self.clock.now(), state: state.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        state
    }

    async fn ask(&self) -> Result<(), Fault> {
        let unknown = |error: &dyn std::error::Error| Fault::Unknown(error.to_string());
        let mut connection = self.pool.get().await.map_err(|error| unknown(&error))?;
        let missing = find_missing_key(&mut connection, self.columns, &self.keyring).await;
        match missing.map_err(|error| unknown(&error))? {
            None => Ok(()),
            Some((column, key_id)) => Err(Fault::Lacks(format!(
                "`vault.keys` lacks key `{key_id}`, which {column} still needs; put it at the \
                 end of the ring, and drop it only after `latchkey vault rewrap`"
            ))),
        }
    }
}
