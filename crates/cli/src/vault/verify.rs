use anyhow::{Result, bail};
use sealed_columns::{count_keys, verify};

use super::opened::{Opened, Service, open};
use crate::progress::Progress;

pub(super) async fn run(service: Option<Service>) -> Result<()> {
    let mut damaged = 0;
    for mut opened in open(service).await? {
        damaged += run_one(&mut opened).await?;
    }
    if damaged > 0 {
        bail!("{damaged} rows are damaged");
    }
    Ok(())
}

async fn run_one(opened: &mut Opened) -> Result<usize> {
    let Opened { name, columns, keyring, connection } = opened;
    let counts = count_keys(connection, columns).await?;
    let total = counts.iter().map(|used| used.rows.unsigned_abs()).sum();
    let mut progress = Progress::default();
    let mut show = |seen| progress.show(seen, total);
    let verified = verify(connection, columns, keyring, &mut |verified| show(verified.seen)).await;
    progress.end();
    let verified = verified?;
    for damage in &verified.damaged {
        eprintln!("{} {}: {}", damage.column, damage.row, damage.reason);
    }
    let damaged = verified.damaged.len();
    println!("{name}: {} rows opened, {damaged} damaged", verified.seen - damaged as u64);
    Ok(damaged)
}
