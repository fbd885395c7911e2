//! The ring of service keys, as operators' commands need it.

use chrono::{DateTime, Utc};
use common::clock::{self, Clock};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde::Serialize;

use crate::config::{Settings, SigningMode};
use crate::error::Error;
use crate::models::service_key;
pub use crate::signing::rotate::{Occasion, Refused, Rotation};
use crate::signing::{KeyStores, rotate};

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
        let connection = AsyncPgConnection::establish(settings.database.url.expose())
            .await
            .map_err(|error| format!("the database can't be reached: {error}"))?;
        Ok(Self { connection, settings })
    }

    /// The keys that the JWKS shows, the current one first.
    pub async fn list(&mut self) -> Result<Vec<ListedKey>, Error> {
        let now = Clock::default().now();
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

    /// Rotates it; replicas hear of that by themselves.
    pub async fn rotate(&mut self, occasion: &Occasion) -> Result<Rotation, Refused> {
        let keyring = self.settings.vault.keyring().map_err(Error::Internal)?;
        let stores = KeyStores::new(&self.settings.signing, keyring).map_err(Error::Internal)?;
        let (rules, now) = (rotate::Rules::of(&self.settings), Clock::default().now());
        rotate::rotate(&mut self.connection, &stores, rules, occasion, now).await
    }
}
