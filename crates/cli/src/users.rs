//! `latchkey users set-role`: who may change the roles of others.

use anyhow::{Error, Result};
use clap::ValueEnum;
use user_service::config::SCHEMA;
use user_service::models::user_role::Role;
use user_service::roles;

use crate::settings::database;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an account an admin's, or take that back; works at once, in every session of it
    SetRole {
        /// The account's username
        username: String,
        /// Which one
        #[arg(value_enum)]
        role: NewRole,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum NewRole {
    /// May do what concerns itself
    User,
    /// May change the roles of others, too
    Admin,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::SetRole { username, role } = command;
    let role = match role {
        NewRole::User => Role::User,
        NewRole::Admin => Role::Admin,
    };
    let database = database(&SCHEMA)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name = runtime.block_on(roles::set(&database, username, role)).map_err(Error::msg)?;
    println!("{name}: {}", role.as_str());
    Ok(())
}
