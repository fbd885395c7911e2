use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::database::Pool;
use tokio::time::timeout;
use vault_crypto::Keyring;

use crate::SealedColumn;
use crate::key_use::find_missing_key;

/// How long a start waits for the database; one that is away must not keep a service from starting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the ring has every key that is still in use. Where the database could not be asked at
/// the start, the service is not ready until it has been.
#[derive(Clone)]
pub struct KeyCheck {
    pool: Pool,
    columns: &'static [SealedColumn],
    keyring: Keyring,
    passed: Arc<AtomicBool>,
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
    ) -> Result<Self, String> {
        let check = Self { pool, columns, keyring, passed: Arc::default() };
        match timeout(PATIENCE, check.ask()).await {
            Ok(Ok(())) => Ok(check),
            Ok(Err(Fault::Lacks(line))) => Err(line),
            Ok(Err(Fault::Unknown(reason))) => {
                tracing::warn!(reason, "keys_in_use_unknown");
                Ok(check)
            }
            Err(_) => {
                tracing::warn!(reason = "no answer", "keys_in_use_unknown");
                Ok(check)
            }
        }
    }

    /// For readiness: asks until it was answered once.
    pub async fn readiness(self) -> Result<(), String> {
        if self.passed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.ask().await.map_err(|(Fault::Lacks(reason) | Fault::Unknown(reason))| reason)
    }

    async fn ask(&self) -> Result<(), Fault> {
        let unknown = |error: &dyn std::error::Error| Fault::Unknown(error.to_string());
        let mut connection = self.pool.get().await.map_err(|error| unknown(&error))?;
        let missing = find_missing_key(&mut connection, self.columns, &self.keyring).await;
        if let Some((column, key_id)) = missing.map_err(|error| unknown(&error))? {
            return Err(Fault::Lacks(format!(
                "`vault.keys` lacks key `{key_id}`, which {column} still needs; put it back at the \
                 end of the ring, and drop it only after `latchkey vault rewrap`"
            )));
        }
        self.passed.store(true, Ordering::Relaxed);
        Ok(())
    }
}
