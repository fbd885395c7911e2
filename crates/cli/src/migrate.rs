use anyhow::{Context as _, Result, anyhow};
use clap::Subcommand;
use common::database::migrate;
use common::settings::{Environment, Schema};
use diesel_migrations::EmbeddedMigrations;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Apply the pending steps of every service's database
    Run {
        /// Of one service only
        #[arg(long)]
        service: Option<String>,
    },
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Run { service } = command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let user = (&user_service::config::SCHEMA, user_service::MIGRATIONS);
        let chat = (&chat_service::config::SCHEMA, chat_service::MIGRATIONS);
        let wanted = |schema: &Schema| service.as_deref().is_none_or(|name| name == schema.service);
        let mut known = false;
        let auth = (&auth_manager::config::SCHEMA, auth_manager::MIGRATIONS);
        for (schema, migrations) in [user, chat, auth] {
            if wanted(schema) {
                known = true;
                apply(schema, migrations).await?;
            }
        }
        known
            .then_some(())
            .with_context(|| format!("no service `{}`", service.as_deref().unwrap_or_default()))
    })
}

async fn apply(schema: &Schema, migrations: EmbeddedMigrations) -> Result<()> {
    let environment = Environment::from_process().map_err(|error| anyhow!(error))?;
    let url = schema.value("database.url", &environment)?;
    let applied = migrate(url.expose(), migrations)
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
