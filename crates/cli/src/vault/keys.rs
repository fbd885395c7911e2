use anyhow::{Result, bail};
use sealed_columns::{KeyUse, count_keys};
use vault_crypto::Keyring;

use super::opened::{Service, open};

pub(super) async fn run(service: Option<Service>) -> Result<()> {
    let mut lacking = 0;
    let mut counts = Vec::new();
    for opened in &mut open(service).await? {
        let counted = count_keys(&mut opened.connection, opened.columns).await?;
        counts.push((opened.name, opened.keyring.clone(), counted));
    }
    println!("{:<14} {:<38} {:<32} {:>10}", "service", "column", "key", "rows");
    let mut lines = Vec::new();
    for (name, keyring, counts) in &counts {
        lacking += tell_counts(name, keyring, counts, &mut lines);
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
fn tell_counts(name: &str, keyring: &Keyring, counts: &[KeyUse], lines: &mut Vec<String>) -> usize {
    let mut lacking: Vec<&str> = Vec::new();
    for used in counts {
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
    lacking.len()
}
