//! `latchkey cleanup`: what the services do by themselves, for cron; but for security events, which
//! leave by the keys of their chain alone.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use common::database::Database;
use common::housekeeping::Cleaned;
use common::settings::{Period, Schema, SettingsError};
use serde_json::{Value, json};

use crate::settings::{environment, find_configured};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Of one service only; of all whose database is configured where not given
    #[arg(long)]
    service: Option<String>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

const SCHEMAS: [&Schema; 3] =
    [&user_service::config::SCHEMA, &chat_service::config::SCHEMA, &auth_manager::config::SCHEMA];

const EVENTS: &str = "the service purges them itself, and `latchkey audit retention` does";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = arguments.service.as_deref();
    let named: Vec<_> = SCHEMAS
        .into_iter()
        .filter(|schema| name.is_none_or(|name| schema.service == name))
        .collect();
    if named.is_empty() {
        return Err(SettingsError(format!("no service `{}`", name.unwrap_or_default())).into());
    }
    let configured = find_configured(named)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut answer, mut failed) = (BTreeMap::new(), Vec::new());
    for (schema, database) in configured {
        let service = schema.service;
        match runtime.block_on(clean_up(schema, &database))? {
            Ok(cleaned) if arguments.json => drop(answer.insert(service, as_json(&cleaned))),
            Ok(cleaned) => tell(service, &cleaned),
            Err(error) => failed.push(format!("{service}: {error}")),
        }
    }
    if arguments.json {
        println!("{}", json!(answer));
    }
    if failed.is_empty() { Ok(()) } else { bail!(failed.join("; ")) }
}

async fn clean_up(
    schema: &Schema,
    database: &Database,
) -> Result<Result<Cleaned, String>, SettingsError> {
    Ok(match schema.service {
        "user-service" => user_service::housekeeping::clean_up(database).await,
        "chat-service" => chat_service::housekeeping::clean_up(database).await,
        _ => auth_manager::housekeeping::clean_up(database, ledger_life(schema)?).await,
    })
}

fn ledger_life(schema: &Schema) -> Result<Period, SettingsError> {
    const KEY: &str = "vault.ledger_life";
    let wrong = |error: &str| Err(SettingsError(format!("{}: {error}", schema.variable(KEY))));
    match schema.value(KEY, &environment()?)?.expose().parse::<Period>() {
        // Everything would go.
        Ok(period) if period.0.is_zero() => wrong("it must be above zero"),
        Ok(period) => Ok(period),
        Err(error) => wrong(&error),
    }
}

fn tell(service: &str, cleaned: &Cleaned) {
    for (what, count) in &cleaned.removed {
        println!("{service}: {what} {count}");
    }
    if service == user_service::config::SCHEMA.service {
        println!("{service}: security events stay; {EVENTS}");
    }
    if cleaned.left_to_another {
        println!("{service}: left to another process, which is at it");
    }
}

fn as_json(cleaned: &Cleaned) -> Value {
    json!({ "removed": cleaned.removed, "left_to_another": cleaned.left_to_another })
}
