use anyhow::{Result, bail};
use sealed_columns::count_keys;

use super::opened::{Opened, Service, open};

pub(super) async fn run(service: Option<Service>) -> Result<()> {
    let mut lacking = 0;
    println!("{:<14} {:<38} {:<32} {:>10}", "service", "column", "key", "rows");
    let mut opened = open(service).await?;
    let mut lines = Vec::new();
    for service in &mut opened {
        lacking += tell_counts(service, &mut lines).await?;
    }
    for line in lines {
        println!("{line}");
    }
    if lacking > 0 {
        bail!("{lacking} keys in use are lacking");
    }
    Ok(())
}

/// Prints a service's counts and says in `lines` how each key stands; answers how many keys in use
/// its ring lacks.
async fn tell_counts(opened: &mut Opened, lines: &mut Vec<String>) -> Result<usize> {
    let Opened { name, columns, keyring, connection } = opened;
    let counts = count_keys(connection, columns).await?;
    let mut lacking: Vec<&str> = Vec::new();
    for used in &counts {
        println!("{name:<14} {:<38} {:<32} {:>10}", used.column, used.key_id, used.rows);
        if !keyring.contains(&used.key_id) && !lacking.contains(&used.key_id.as_str()) {
            lacking.push(&used.key_id);
        }
    }
    for key in keyring.key_ids() {
        let rows: i64 = counts.iter().filter(|used| used.key_id == key).map(|used| used.rows).sum();
        lines.push(match rows {
            _ if key == keyring.writing_key_id() => format!("{name}: `{key}` writes"),
            0 => format!("{name}: `{key}` can be dropped"),
            _ => format!("{name}: `{key}` is needed by {rows} rows until they are rewrapped"),
        });
    }
    lines.extend(lacking.iter().map(|key| format!("{name}: the ring lacks `{key}`")));
    Ok(lacking.len())
}
