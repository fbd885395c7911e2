//! `latchkey config check`: what a service would say of its settings at its start.

use std::path::{Path, PathBuf};

use anyhow::Result;
use common::service;
use common::settings::{Schema, SettingsError};

use crate::settings::environment;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say all that is wrong with a service's file of settings, together with the environment
    Check(Check),
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// A TOML file as `<SERVICE>__CONFIG_FILE` names one
    file: PathBuf,
    /// Whose it is, where the file is not called after its service
    #[arg(long)]
    service: Option<String>,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Check(Check { file, service }) = command;
    let name = service.as_deref().or_else(|| file.file_stem()?.to_str()).unwrap_or_default();
    check(name, file)?;
    println!("{}: nothing is wrong with it for {name}", file.display());
    Ok(())
}

fn check(name: &str, file: &Path) -> Result<(), SettingsError> {
    match name {
        "user-service" => {
            load::<user_service::config::Settings>(&user_service::config::SCHEMA, file)
        }
        "chat-service" => {
            load::<chat_service::config::Settings>(&chat_service::config::SCHEMA, file)
        }
        "auth-manager" => {
            load::<auth_manager::config::Settings>(&auth_manager::config::SCHEMA, file)
        }
        other => Err(SettingsError(format!(
            "no service `{other}`: say with --service whose file {} is",
            file.display()
        ))),
    }
}

fn load<S: service::ServiceSettings>(schema: &Schema, file: &Path) -> Result<(), SettingsError> {
    let path = file.to_str().ok_or_else(|| SettingsError("the path is not UTF-8".to_owned()))?;
    let environment = environment()?.with(&schema.variable("config_file"), path);
    service::load::<S>(schema, &environment).map(drop)
}
