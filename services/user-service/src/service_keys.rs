//! The ring of service keys, as operators' commands need it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::{self, Clock};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::config::{Settings, SigningMode};
use crate::error::Error;
use crate::models::service_key::{self, ServiceKey};
use crate::signing::rotate::Rules;
pub use crate::signing::rotate::{CLIENTS_CACHE, Occasion, Refused, Rotation};
use crate::signing::{KeyStores, rotate};

/// How long others may take to make a key.
const MAKING: Duration = Duration::from_secs(10);

/// A key of the ring, without its private part.
#[derive(Clone, Debug, Serialize)]
pub struct ListedKey {
    /// Key id.
    pub kid: String,
    /// `current`, `next` or `retired`.
    pub state: String,
    /// Algorithm and size.
    pub key_type: String,
    /// Where the private key is.
    pub store: String,
    /// Since when the JWKS shows it.
    #[serde(serialize_with = "clock::serialize")]
    pub published_at: DateTime<Utc>,
    /// Since when it signs.
    #[serde(serialize_with = "clock::serialize_optional")]
    pub activated_at: Option<DateTime<Utc>>,
    /// Until when it verifies, once retired.
    #[serde(serialize_with = "clock::serialize_optional")]
    pub until: Option<DateTime<Utc>>,
}

/// The ring, as an operator's command opens it.
pub struct Ring {
    connection: AsyncPgConnection,
    settings: Settings,
}

impl Ring {
    /// With the service's own settings; an error says what stands against it.
    pub async fn open(settings: Settings) -> Result<Self, String> {
        if settings.signing.is_in_files() {
            return Err("the ring is in files, as `signing.private_key_path` says: rotate it by \
                        changing the files, or take that setting away"
                .to_owned());
        }
        let mut connection = settings.database.connect().await?;
        // Replicas that make a key, one after another, are not waited for longer.
        let limit = format!("SET lock_timeout = {}", MAKING.as_millis());
        connection
            .batch_execute(&limit)
            .await
            .map_err(|error| format!("the database can't be reached: {error}"))?;
        Ok(Self { connection, settings })
    }

    /// The keys that the JWKS shows, the current one first.
    pub async fn list(&mut self) -> Result<Vec<ListedKey>, Error> {
        let now = service_key::now(&mut self.connection, &Clock::default()).await?;
        let keys = service_key::list_published(&mut self.connection, now).await?;
        Ok(keys
            .into_iter()
            .map(|key| ListedKey {
                kid: key.kid,
                state: key.state,
                key_type: key.key_type,
                store: key.store,
                published_at: key.published_at,
                activated_at: key.activated_at,
                until: key.until,
            })
            .collect())
    }

    /// Whether the service signs with it, or anything was ever in it.
    #[must_use]
    pub fn is_used(&self, listed: &[ListedKey]) -> bool {
        self.settings.signing.mode == SigningMode::Service || !listed.is_empty()
    }

    /// Rotates it; replicas hear of that by themselves. It is done though the new next key can't be
    /// made yet; an emergency does not even wait for the place of keys to be found.
    pub async fn rotate(&mut self, occasion: &Occasion) -> Result<Rotation, Refused> {
        if !matches!(occasion, Occasion::Emergency { .. }) {
            self.fill().await?;
        }
        let (rules, clock) = (Rules::of(&self.settings), Clock::default());
        let mut rotation = rotate::rotate(&mut self.connection, rules, occasion, &clock).await?;
        match self.fill().await {
            Ok(keys) => rotation.note(&keys),
            Err(error) => tracing::warn!(%error, "service_keys_not_made"),
        }
        Ok(rotation)
    }

    async fn fill(&mut self) -> Result<Vec<ServiceKey>, Error> {
        let clock = Clock::default();
        let keys = service_key::list_unrevoked(&mut self.connection).await?;
        if rotate::is_whole(&keys) {
            return Ok(keys);
        }
        let stores = open_stores(&self.settings).await?;
        rotate::fill(&mut self.connection, &stores, Rules::of(&self.settings), &clock).await
    }
}

/// On a thread where it may take its time.
async fn open_stores(settings: &Settings) -> Result<KeyStores, Error> {
    let Settings { signing, vault, .. } = settings.clone();
    let opened = spawn_blocking(move || KeyStores::new(&signing, vault.keyring()?)).await;
    opened.map_err(|error| Error::Internal(error.to_string()))?.map_err(Error::Internal)
}
