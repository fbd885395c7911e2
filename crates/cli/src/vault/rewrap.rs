use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use sealed_columns::{KeyUse, Rewrapped, rewrap};

use super::opened::{Opened, Service, open};
use crate::progress::Progress;

pub(super) async fn run(service: Option<Service>, dry_run: bool) -> Result<()> {
    let mut behind = 0;
    for opened in open(service).await? {
        behind += run_one(opened, dry_run).await?;
    }
    if behind > 0 {
        bail!("{behind} rows are not under the first key");
    }
    Ok(())
}

/// Says how many rows stay under other keys than the first, though they should not.
async fn run_one(mut opened: Opened, dry_run: bool) -> Result<u64> {
    let mut progress = Progress::default();
    let mut show = |tally: &Rewrapped| {
        progress.show(tally.moved + tally.damaged.len() as u64, tally.total);
    };
    let Opened { columns, keyring, connection, name } = &mut opened;
    let tally = rewrap(connection, columns, keyring, dry_run, &mut show).await;
    progress.end();
    let tally = tally.with_context(|| (*name).to_owned())?;
    for damage in &tally.damaged {
        eprintln!("{} {}: {}", damage.column, damage.row, damage.reason);
    }
    report(name, keyring.writing_key_id(), &tally, dry_run);
    Ok(tally.damaged.len() as u64 + tally.left)
}

fn report(name: &str, first: &str, tally: &Rewrapped, dry_run: bool) {
    let note = if dry_run { " (dry run: nothing was changed)" } else { "" };
    println!(
        "{name}: moved {} to `{first}`, damaged {}, left {}, total {}{note}",
        tally.moved,
        tally.damaged.len(),
        tally.left,
        tally.total
    );
    let (before, after) = (by_key(&tally.before), by_key(&tally.after));
    let keys: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for key in keys {
        let count = |counts: &BTreeMap<&str, i64>| counts.get(key).copied().unwrap_or_default();
        println!("  key `{key}`: {} before, {} after", count(&before), count(&after));
    }
    if tally.left > 0 {
        println!("  a replica may still run with another first key; restart it and run this again");
    }
}

fn by_key(counts: &[KeyUse]) -> BTreeMap<&str, i64> {
    let mut keys = BTreeMap::new();
    for used in counts {
        *keys.entry(used.key_id.as_str()).or_default() += used.rows;
    }
    keys
}
