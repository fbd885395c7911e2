//! `latchkey cleanup`: what the services do by themselves, for cron.

use anyhow::{Result, anyhow};
use common::settings::SettingsError;

use crate::settings::database_url;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Of one service only
    #[arg(long)]
    service: Option<String>,
}

const SERVICES: [&str; 1] = ["user-service"];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = arguments.service.as_deref().filter(|name| !SERVICES.contains(name)) {
        let known = SERVICES.join(", ");
        let error = format!("no service `{name}` that is cleaned by command; there is {known}");
        return Err(SettingsError(error).into());
    }
    let url = database_url(&user_service::config::SCHEMA)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let removed = runtime
        .block_on(user_service::housekeeping::clean_up(&url))
        .map_err(|error| anyhow!(error))?;
    for (what, count) in removed {
        println!("user-service: {what} {count}");
    }
    Ok(())
}
