//! `latchkey migrate account-vault` and `auth-vault`.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, anyhow, bail};
use auth_manager::import::{self, Importer, OlderVault, Tally};
use common::settings::{Environment, Secret};
use indicatif::{ProgressBar, ProgressStyle};

/// Where there is no terminal, a line is written each so many rows.
const LINE_EACH: usize = 100;
const URL: &str = "OLDER_VAULT_URL";
const KEY: &str = "OLDER_VAULT_KEY";

pub(crate) async fn account_vault(dry_run: bool) -> Result<()> {
    let importer = importer(dry_run)?;
    let mut progress = Progress::default();
    let tally = import::account_vault(&importer, &mut |tally| progress.show(tally)).await;
    conclude(progress, &tally.map_err(|error| anyhow!(error))?, dry_run)
}

pub(crate) async fn auth_vault(dry_run: bool) -> Result<()> {
    let older = OlderVault { url: secret(URL)?, key: secret(KEY)? };
    let importer = importer(dry_run)?;
    let mut progress = Progress::default();
    let tally = import::auth_vault(&importer, &older, &mut |tally| progress.show(tally)).await;
    conclude(progress, &tally.map_err(|error| anyhow!(error))?, dry_run)
}

fn importer(dry_run: bool) -> Result<Importer> {
    let environment = Environment::from_process().map_err(|error| anyhow!(error))?;
    let settings = auth_manager::config::SCHEMA.load(&environment)?;
    Importer::new(&settings, dry_run).map_err(|error| anyhow!(error))
}

/// From the environment, or from the file that `<name>_FILE` names; never from the command line,
/// which other processes can read.
fn secret(name: &str) -> Result<Secret> {
    if let Ok(value) = std::env::var(name) {
        return Ok(Secret::from(value));
    }
    let file = std::env::var(format!("{name}_FILE"))
        .with_context(|| format!("set {name}, or {name}_FILE to the file that holds it"))?;
    let value = std::fs::read_to_string(&file).with_context(|| format!("{name}_FILE"))?;
    Ok(Secret::from(value.trim().to_owned()))
}

#[derive(Default)]
struct Progress(Option<ProgressBar>);

impl Progress {
    fn show(&mut self, tally: &Tally) {
        if std::io::stderr().is_terminal() {
            let bar = self.0.get_or_insert_with(|| bar(tally.total));
            bar.set_position(u64::try_from(tally.seen()).unwrap_or(u64::MAX));
        } else if tally.seen().is_multiple_of(LINE_EACH) {
            eprintln!("{} of {} rows", tally.seen(), tally.total);
        }
    }
}

fn bar(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left");
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn conclude(progress: Progress, tally: &Tally, dry_run: bool) -> Result<()> {
    if let Some(bar) = progress.0 {
        bar.finish_and_clear();
    }
    for (row, why) in &tally.replaced {
        eprintln!("{row}: replaced: {why}");
    }
    for (row, why) in &tally.errors {
        eprintln!("{row}: error: {why}");
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
