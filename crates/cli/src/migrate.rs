use anyhow::{Result, anyhow};
use clap::Subcommand;
use common::database::migrate;
use common::settings::{Schema, SettingsError};
use diesel_migrations::EmbeddedMigrations;

use crate::import;
use crate::settings::database;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Apply the pending steps of every service's database
    Run {
        /// Of one service only
        #[arg(long)]
        service: Option<String>,
    },
    /// Move plain tokens of older sessions (`user_sessions`) into accounts and vault
    AccountVault {
        /// Do everything, and undo it again
        #[arg(long)]
        dry_run: bool,
    },
    /// Move the keys of an older `user_session_keys`, in user-service's own database, into keysets
    SessionKeys {
        /// Do everything, and undo it again
        #[arg(long)]
        dry_run: bool,
    },
    /// Take over an older vault: its database from `OLDER_VAULT_URL`, its key (64 hex) from
    /// `OLDER_VAULT_KEY`, or from the files that these with `_FILE` name
    AuthVault {
        /// Do everything, and undo it again
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Run { service } => run_steps(service.as_deref()).await,
            Command::AccountVault { dry_run } => import::account_vault(*dry_run).await,
            Command::SessionKeys { dry_run } => import::session_keys(*dry_run).await,
            Command::AuthVault { dry_run } => import::auth_vault(*dry_run).await,
        }
    })
}

async fn run_steps(service: Option<&str>) -> Result<()> {
    let user = (&user_service::config::SCHEMA, user_service::MIGRATIONS);
    let chat = (&chat_service::config::SCHEMA, chat_service::MIGRATIONS);
    let auth = (&auth_manager::config::SCHEMA, auth_manager::MIGRATIONS);
    let mut known = false;
    for (schema, migrations) in [user, chat, auth] {
        if service.is_none_or(|name| name == schema.service) {
            known = true;
            apply(schema, migrations).await?;
        }
    }
    if known {
        return Ok(());
    }
    Err(SettingsError(format!("no service `{}`", service.unwrap_or_default())).into())
}

async fn apply(schema: &Schema, migrations: EmbeddedMigrations) -> Result<()> {
    let applied = migrate(&database(schema)?, migrations)
        .await
        .map_err(|error| anyhow!("{}: {error}", schema.service))?;
    for version in &applied {
        println!("{}: applied {version}", schema.service);
    }
    if applied.is_empty() {
        println!("{}: nothing pending", schema.service);
    }
    Ok(())
}
