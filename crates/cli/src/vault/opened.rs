use anyhow::{Result, anyhow};
use clap::ValueEnum;
use common::settings::{Schema, SettingsError};
use diesel_async::AsyncPgConnection;
use sealed_columns::SealedColumn;
use vault_crypto::Keyring;

use crate::settings::{database, environment, find_configured};

/// A service with sealed columns.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    UserService,
    AuthManager,
}

/// A service's sealed columns, with the settings that the service itself has.
pub(super) struct Opened {
    pub(super) name: &'static str,
    pub(super) columns: &'static [SealedColumn],
    pub(super) keyring: Keyring,
    pub(super) connection: AsyncPgConnection,
}

impl Service {
    pub(super) fn schema(self) -> &'static Schema {
        match self {
            Self::UserService => &user_service::config::SCHEMA,
            Self::AuthManager => &auth_manager::config::SCHEMA,
        }
    }

    async fn open(self) -> Result<Opened> {
        let environment = environment()?;
        let keyring = match self {
            Self::UserService => {
                let settings: user_service::config::Settings = self.schema().load(&environment)?;
                settings.vault.keyring()
            }
            Self::AuthManager => {
                let settings: auth_manager::config::Settings = self.schema().load(&environment)?;
                settings.vault.keyring()
            }
        };
        let columns = match self {
            Self::UserService => user_service::SEALED_COLUMNS,
            Self::AuthManager => auth_manager::vault::SEALED_COLUMNS,
        };
        let name = self.schema().service;
        Ok(Opened {
            name,
            columns,
            keyring: keyring.map_err(|error| SettingsError(format!("{name}: {error}")))?,
            connection: self.connect().await?,
        })
    }

    pub(super) async fn connect(self) -> Result<AsyncPgConnection> {
        let service = self.schema().service;
        let connected = database(self.schema())?.connect().await;
        connected.map_err(|error| anyhow!("{service}: the database can't be reached: {error}"))
    }
}

/// One service's sealed columns, or those of each whose database is configured.
pub(super) async fn open(service: Option<Service>) -> Result<Vec<Opened>> {
    let services = match service {
        Some(service) => vec![service],
        None => configured()?,
    };
    let mut opened = Vec::new();
    for service in services {
        opened.push(service.open().await?);
    }
    Ok(opened)
}

fn configured() -> Result<Vec<Service>, SettingsError> {
    let all = [Service::UserService, Service::AuthManager];
    let found = find_configured(all.map(Service::schema))?;
    let is_found = |service: &Service| {
        found.iter().any(|(schema, _)| schema.service == service.schema().service)
    };
    Ok(all.into_iter().filter(is_found).collect())
}
