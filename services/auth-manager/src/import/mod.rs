//! Taking over older vaults and session tables. A row at a time, each in a transaction of its own:
//! one that fails is named, left whole and passed over, and what is done already is not done again.

mod account_vault;
mod auth_vault;
mod legacy_token;
mod take_in;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::metrics::Metrics;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;
use vault_crypto::{Keyring, TokenHasher};

pub use account_vault::run as account_vault;
pub use auth_vault::{OlderVault, run as auth_vault};

use crate::config::Settings;
use crate::metrics::ServiceMetrics;
use crate::providers::Providers;

/// Rows read at once.
const BATCH: i64 = 100;

/// What an import needs of the service.
pub struct Importer {
    keyring: Keyring,
    hasher: TokenHasher,
    providers: Providers,
    database: String,
    now: DateTime<Utc>,
    dry_run: bool,
}

/// How many rows came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows to be looked at.
    pub total: usize,
    /// Taken over.
    pub migrated: usize,
    /// There already, or with nothing in them.
    pub skipped: usize,
    /// Left whole: which, and why.
    pub errors: Vec<(Uuid, String)>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Migrated,
    Skipped,
}

/// Why a row can't be taken over, in words that show nothing of it; or the database's trouble.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error("{0}")]
    Bad(&'static str),
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    /// Undoes what a dry run did.
    #[error("dry run")]
    DryRun(Done),
}

impl Importer {
    /// With the service's own settings; an error names what is wrong with them.
    pub fn new(settings: &Settings, dry_run: bool) -> Result<Self, String> {
        let clock = Clock::default();
        let metrics = ServiceMetrics::register(&Metrics::new("auth-manager"));
        let keyring = Keyring::parse(settings.vault.keys.expose())
            .map_err(|error| format!("`vault.keys`: {error}"))?;
        let hasher = TokenHasher::parse(settings.vault.hash_key.expose())
            .map_err(|error| format!("`vault.hash_key`: {error}"))?;
        Ok(Self {
            keyring,
            hasher,
            providers: Providers::start(
                &settings.providers,
                settings.environment,
                &clock,
                &metrics,
            )?,
            database: settings.database.url.expose().to_owned(),
            now: clock.now(),
            dry_run,
        })
    }

    async fn connect(&self) -> Result<AsyncPgConnection, String> {
        AsyncPgConnection::establish(&self.database)
            .await
            .map_err(|error| format!("`database.url`: {error}"))
    }

    /// What a row's transaction ends with.
    fn end(&self, done: Done) -> Result<Done, RowError> {
        if self.dry_run { Err(RowError::DryRun(done)) } else { Ok(done) }
    }
}

impl Tally {
    /// Rows looked at so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.migrated + self.skipped + self.errors.len()
    }

    fn count(&mut self, id: Uuid, outcome: Result<Done, RowError>) {
        match outcome {
            Ok(Done::Migrated) | Err(RowError::DryRun(Done::Migrated)) => self.migrated += 1,
            Ok(Done::Skipped) | Err(RowError::DryRun(Done::Skipped)) => self.skipped += 1,
            Err(error) => self.errors.push((id, error.to_string())),
        }
    }
}

fn failed(error: &diesel::result::Error) -> String {
    format!("database: {error}")
}
