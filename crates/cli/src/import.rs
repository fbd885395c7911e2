//! `latchkey migrate account-vault`, `auth-vault` and `session-keys`.

use anyhow::{Result, anyhow, bail};
use auth_manager::import::{self, Importer, OlderVault};
use common::database::check_url;
use common::settings::{Secret, SettingsError};
use common::tally::Tally;

use crate::progress::Progress;
use crate::settings::environment;

const URL: &str = "OLDER_VAULT_URL";
const KEY: &str = "OLDER_VAULT_KEY";

pub(crate) async fn account_vault(dry_run: bool) -> Result<()> {
    let importer = importer(dry_run)?;
    let mut progress = Progress::default();
    let tally = import::account_vault(&importer, &mut |tally| show(&mut progress, tally)).await;
    conclude(progress, &tally.map_err(|error| anyhow!(error))?, dry_run)
}

pub(crate) async fn auth_vault(dry_run: bool) -> Result<()> {
    let older = OlderVault { url: secret(URL)?, key: secret(KEY)? };
    check_url(&older.url).map_err(|error| SettingsError(format!("{URL}: {error}")))?;
    older.check_key().map_err(|error| SettingsError(format!("{KEY}: {error}")))?;
    let importer = importer(dry_run)?;
    let mut progress = Progress::default();
    let tally =
        import::auth_vault(&importer, &older, &mut |tally| show(&mut progress, tally)).await;
    conclude(progress, &tally.map_err(|error| anyhow!(error))?, dry_run)
}

pub(crate) async fn session_keys(dry_run: bool) -> Result<()> {
    let settings = user_service::config::SCHEMA.load(&environment()?)?;
    let importer =
        user_service::import::Importer::new(&settings, dry_run).map_err(SettingsError)?;
    let mut progress = Progress::default();
    let tally =
        user_service::import::session_keys(&importer, &mut |tally| show(&mut progress, tally))
            .await;
    conclude(progress, &tally.map_err(|error| anyhow!(error))?, dry_run)
}

fn importer(dry_run: bool) -> Result<Importer, SettingsError> {
    let settings = auth_manager::config::SCHEMA.load(&environment()?)?;
    Importer::new(&settings, dry_run).map_err(SettingsError)
}

/// From the environment, or from the file that `<name>_FILE` names; never from the command line,
/// which other processes can read.
fn secret(name: &str) -> Result<Secret, SettingsError> {
    if let Ok(value) = std::env::var(name) {
        return Ok(Secret::from(value));
    }
    let file = std::env::var(format!("{name}_FILE")).map_err(|_| {
        SettingsError(format!("set {name}, or {name}_FILE to the file that holds it"))
    })?;
    let value = std::fs::read_to_string(&file)
        .map_err(|error| SettingsError(format!("{name}_FILE: {file} can't be read: {error}")))?;
    Ok(Secret::from(value.trim().to_owned()))
}

fn show(progress: &mut Progress, tally: &Tally) {
    let count = |rows| u64::try_from(rows).unwrap_or(u64::MAX);
    progress.show(count(tally.seen()), count(tally.total));
}

fn conclude(progress: Progress, tally: &Tally, dry_run: bool) -> Result<()> {
    progress.end();
    for (row, why) in &tally.replaced {
        eprintln!("{row}: replaced: {why}");
    }
    for (row, why) in &tally.errors {
        eprintln!("{row}: error: {why}");
    }
    for (why, rows) in &tally.skipped_because {
        eprintln!("{rows} skipped: {why}");
    }
    let Tally { total, migrated, skipped, .. } = *tally;
    let (replaced, errors) = (tally.replaced.len(), tally.errors.len());
    let note = if dry_run { " (dry run: nothing was changed)" } else { "" };
    println!(
        "migrated {migrated}, replaced {replaced}, skipped {skipped}, errors {errors}, \
         total {total}{note}"
    );
    if errors > 0 {
        bail!("{errors} rows were left as they were");
    }
    Ok(())
}
