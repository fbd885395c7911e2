//! The services' settings, printed, and as operators' commands need them.

use clap::ValueEnum;
use common::database::check_url;
use common::settings::{Environment, Schema, Secret, SettingsError};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The README's tables
    Markdown,
    /// `.env.example`
    Env,
}

const SCHEMAS: [&Schema; 3] =
    [&user_service::config::SCHEMA, &chat_service::config::SCHEMA, &auth_manager::config::SCHEMA];

pub(crate) fn run(arguments: &Arguments) {
    let parts: Vec<String> = match arguments.format {
        Format::Markdown => SCHEMAS
            .iter()
            .map(|schema| format!("### {}\n\n{}", schema.service, schema.markdown_table()))
            .collect(),
        Format::Env => SCHEMAS.iter().map(|schema| schema.env_example()).collect(),
    };
    print!("{}", parts.join("\n"));
}

/// The process's own, as the services read it.
pub(crate) fn environment() -> Result<Environment, SettingsError> {
    Environment::from_process().map_err(SettingsError)
}

const URL: &str = "database.url";

/// The URL of a service's database.
pub(crate) fn database_url(schema: &Schema) -> Result<Secret, SettingsError> {
    let url = schema.value(URL, &environment()?)?;
    check(schema, url)
}

/// The same where it may be missing.
fn find_database_url(schema: &Schema) -> Result<Option<Secret>, SettingsError> {
    let url = schema.find_value(URL, &environment()?)?;
    url.map(|url| check(schema, url)).transpose()
}

/// Those of `schemas` whose databases are known, with their URLs; at least one.
pub(crate) fn find_configured(
    schemas: impl IntoIterator<Item = &'static Schema>,
) -> Result<Vec<(&'static Schema, Secret)>, SettingsError> {
    let mut configured: Vec<(&Schema, Secret)> = Vec::new();
    let mut known = Vec::new();
    for schema in schemas {
        known.push(schema.variable(URL));
        let Some(url) = find_database_url(schema)? else { continue };
        if configured.iter().any(|(_, other)| other.expose() == url.expose()) {
            let error = "one URL for several services: say with --service whose it is";
            return Err(SettingsError(error.to_owned()));
        }
        configured.push((schema, url));
    }
    if configured.is_empty() {
        return Err(SettingsError(format!("no database; set {}", known.join(" or "))));
    }
    Ok(configured)
}

fn check(schema: &Schema, url: Secret) -> Result<Secret, SettingsError> {
    check_url(&url).map_err(|error| SettingsError(format!("{}: {error}", schema.variable(URL))))?;
    Ok(url)
}
