//! Taking over older vaults and session tables. A row at a time, each in a transaction of its own:
//! one that fails is named, left whole and passed over, and what is done already is not done again.

mod account_vault;
mod auth_vault;
mod foreseen;
mod legacy_token;
mod take_in;

use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::{Database, is_unavailable, locate, try_lock};
use common::metrics::Metrics;
use diesel_async::AsyncPgConnection;
use tokio::time::{Instant, sleep};
use vault_crypto::{Keyring, TokenHasher};

pub use account_vault::run as account_vault;
pub use auth_vault::{OlderVault, run as auth_vault};
pub use common::tally::Tally;

use self::foreseen::Foreseen;
use crate::config::Settings;
use crate::metrics::ServiceMetrics;
use crate::providers::Providers;

/// Rows read at once.
const BATCH: i64 = 100;

/// Any number that no other lock of ours has; held as long as the connection.
const LOCK: i64 = 7_305_790_123;
/// PostgreSQL may take a moment to see that an import which has just ended is gone.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What an import needs of the service.
pub struct Importer {
    keyring: Keyring,
    hasher: TokenHasher,
    providers: Providers,
    database: Database,
    now: DateTime<Utc>,
    /// What a dry run would have stored by now; none where rows are stored.
    foreseen: Option<Mutex<Foreseen>>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Migrated,
    Skipped,
    /// Two tokens of one grant have met: whose gave way, and why.
    Replaced(String, String),
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
        let keyring = settings.vault.keyring()?;
        let hasher = settings.vault.token_hasher()?;
        Ok(Self {
            keyring,
            hasher,
            providers: Providers::start(
                &settings.providers,
                settings.environment,
                &clock,
                &metrics,
            )?,
            database: locate(&settings.database.url, settings.database.ca_path.as_deref())?,
            now: clock.now(),
            foreseen: dry_run.then(Mutex::default),
        })
    }

    /// A connection that holds the lock of imports, of which one runs at a time.
    async fn connect(&self) -> Result<AsyncPgConnection, String> {
        let connected = self.database.connect().await;
        let mut connection = connected.map_err(|error| format!("`database.url`: {error}"))?;
        let until = Instant::now() + PATIENCE;
        while !try_lock(&mut connection, LOCK).await.map_err(|error| failed(&error))? {
            if Instant::now() >= until {
                return Err("another import is running on this database".to_owned());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(connection)
    }

    /// What a row's transaction ends with.
    fn end(&self, done: Done) -> Result<Done, RowError> {
        if self.foreseen.is_some() { Err(RowError::DryRun(done)) } else { Ok(done) }
    }
}

/// Counts a row; an error where the database is away, so that nothing more can be done.
fn enter(tally: &mut Tally, row: &str, outcome: Result<Done, RowError>) -> Result<(), String> {
    match outcome {
        Ok(done) | Err(RowError::DryRun(done)) => match done {
            Done::Migrated => tally.migrated += 1,
            Done::Skipped => tally.skipped += 1,
            Done::Replaced(row, why) => tally.replaced.push((row, why)),
        },
        Err(RowError::Database(error)) if is_unavailable(&error) => return Err(failed(&error)),
        Err(error) => tally.errors.push((row.to_owned(), error.to_string())),
    }
    Ok(())
}

fn failed(error: &diesel::result::Error) -> String {
    format!("database: {error}")
}

/// Tokens that older layouts left empty are none.
fn full(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.trim().is_empty())
}
