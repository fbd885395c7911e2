//! The services' settings, printed, and as operators' commands need them.

use clap::ValueEnum;
use common::database::{Database, check_url, locate};
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

/// A service's database.
pub(crate) fn database(schema: &Schema) -> Result<Database, SettingsError> {
    open(schema, &schema.value(URL, &environment()?)?)
}

/// Those of `schemas` whose databases are known; at least one.
pub(crate) fn find_configured(
    schemas: impl IntoIterator<Item = &'static Schema>,
) -> Result<Vec<(&'static Schema, Database)>, SettingsError> {
    let (mut configured, mut urls, mut known) = (Vec::new(), Vec::<Secret>::new(), Vec::new());
    for schema in schemas {
        known.push(schema.variable(URL));
        let Some(url) = schema.find_value(URL, &environment()?)? else { continue };
        if urls.iter().any(|other| other.expose() == url.expose()) {
            let error = "one URL for several services: say with --service whose it is";
            return Err(SettingsError(error.to_owned()));
        }
        configured.push((schema, open(schema, &url)?));
        urls.push(url);
    }
    if configured.is_empty() {
        return Err(SettingsError(format!("no database; set {}", known.join(" or "))));
    }
    Ok(configured)
}

fn open(schema: &Schema, url: &Secret) -> Result<Database, SettingsError> {
    check_url(url).map_err(|error| SettingsError(format!("{}: {error}", schema.variable(URL))))?;
    let ca_path = schema.find_value("database.ca_path", &environment()?)?;
    locate(url, ca_path.as_ref().map(Secret::expose))
        .map_err(|error| SettingsError(format!("{}: {error}", schema.service)))
}
