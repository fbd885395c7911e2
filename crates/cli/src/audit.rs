//! `latchkey audit`: user-service's security events.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use common::clock::rfc3339;
use common::service;
use serde_json::json;
use user_service::audit::{Audit, Exported, Purged, Retention};
use user_service::config::{SCHEMA, Settings};
use uuid::Uuid;

use crate::settings::environment;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Walk along the chain of security events; name the first row that is not what was written
    Verify {
        /// A head or checkpoint exported before, which the chain must still contain; a line of the
        /// service's log is one as well
        #[arg(long)]
        against: Option<PathBuf>,
        /// Where to write the chain's signed head, for a place that the database's masters can't reach
        #[arg(long)]
        export_head: Option<PathBuf>,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print all that is known of a user's events, one JSON object a line
    Export {
        /// Whose: the user's id or name
        #[arg(long)]
        user: String,
    },
    /// Forget what is personal in a user's events; the chain stays whole
    Forget {
        /// Whose: the user's id or name
        #[arg(long)]
        user: String,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what there is of each kind and how long it is kept, and remove what is past
    Retention {
        /// Only say it, and how much would go
        #[arg(long)]
        dry_run: bool,
        /// Where to write the signed checkpoint that the purge leaves; `-` is standard output
        #[arg(long)]
        checkpoint: Option<PathBuf>,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let settings: Settings = service::load(&SCHEMA, &environment()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut audit = Audit::open(&settings).await.map_err(anyhow::Error::msg)?;
        match command {
            Command::Verify { against, export_head, json } => {
                verify(&mut audit, against.as_deref(), export_head.as_deref(), *json).await
            }
            Command::Export { user } => {
                let user = find_user(&mut audit, user).await?;
                export(&mut audit, user).await
            }
            Command::Forget { user, json } => {
                let user = find_user(&mut audit, user).await?;
                forget(&mut audit, user, *json).await
            }
            Command::Retention { dry_run, checkpoint, json } => {
                retain(&mut audit, *dry_run, checkpoint.as_deref(), *json).await
            }
        }
    })
}

async fn verify(
    audit: &mut Audit,
    against: Option<&Path>,
    export_head: Option<&Path>,
    as_json: bool,
) -> Result<()> {
    let known: Option<Exported> = against.map(read).transpose()?;
    let verified = audit.verify(known.as_ref()).await?;
    if as_json {
        println!("{}", json!(verified));
    } else {
        println!(
            "{} rows are as they were written ({} of them forgotten), {} purged, {} not linked yet",
            verified.rows, verified.forgotten, verified.purged, verified.pending
        );
    }
    if let Some(bad) = &verified.bad {
        let row = bad.id.map_or_else(String::new, |id| format!(", row {id}"));
        bail!("position {}{row}: {}", bad.position, bad.what);
    }
    if let Some(path) = export_head {
        let head = audit.head().await?;
        write(path, &json!(head).to_string())?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Exported> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text)
        .with_context(|| format!("{}: no head or checkpoint", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if path == Path::new("-") {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(path, format!("{text}\n")).with_context(|| path.display().to_string())
}

/// What is an id is never taken for a name. Events may be older than an account, or outlive it: an
/// id need not be anybody's.
async fn find_user(audit: &mut Audit, text: &str) -> Result<Uuid> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let found = audit.find_user(text).await?;
    found.with_context(|| format!("no user is called {text:?}; an id (`user_id`) does as well"))
}

async fn export(audit: &mut Audit, user: Uuid) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout());
    audit.export(user, &mut |event| writeln!(out, "{}", json!(event))).await?;
    out.flush()?;
    Ok(())
}

async fn forget(audit: &mut Audit, user: Uuid, as_json: bool) -> Result<()> {
    let (forgotten, damaged) = audit.forget(user).await?;
    if as_json {
        println!("{}", json!({ "forgotten": forgotten, "damaged": damaged }));
    } else {
        println!("{forgotten} rows forgotten");
    }
    refuse_damaged(&damaged, &[])
}

async fn retain(
    audit: &mut Audit,
    dry_run: bool,
    checkpoint: Option<&Path>,
    as_json: bool,
) -> Result<()> {
    let purged = if dry_run { None } else { Some(audit.purge().await?) };
    let (report, left) = (audit.report().await?, audit.last_checkpoint().await?);
    let Purged { removed, damaged, damaged_checkpoints } = purged.unwrap_or_default();
    if as_json {
        let answer = json!({
            "kinds": report,
            "purged": removed,
            "damaged": damaged,
            "damaged_checkpoints": damaged_checkpoints,
            "checkpoint": left,
        });
        println!("{answer}");
    } else {
        report.iter().for_each(tell);
        if dry_run {
            println!("{} rows would be purged", report.iter().map(|of| of.due).sum::<i64>());
        } else {
            println!("{removed} rows purged");
        }
    }
    match (checkpoint, &left) {
        (Some(path), Some(left)) => write(path, &json!(left).to_string())?,
        (Some(_), None) => eprintln!("note: no purge has left a checkpoint yet: none was written"),
        (None, _) => {}
    }
    refuse_damaged(&damaged, &damaged_checkpoints)
}

fn tell(of: &Retention) {
    let oldest = rfc3339(of.oldest);
    let kept = of.kept_for.and_then(|seconds| u64::try_from(seconds).ok());
    let kept = kept.map_or_else(
        || "kept: not known to this release".to_owned(),
        |seconds| format!("kept for {}", days(seconds)),
    );
    let due = if of.due > 0 { format!(", {} past", of.due) } else { String::new() };
    println!("{:<20} {:>10} since {oldest}, {kept}{due}", of.kind, of.rows);
}

fn days(seconds: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    if seconds.is_multiple_of(DAY) {
        format!("{} days", seconds / DAY)
    } else {
        format!("{seconds} s")
    }
}

fn refuse_damaged(rows: &[i64], checkpoints: &[i64]) -> Result<()> {
    let stay =
        |what: &[i64], why: &str| what.first().map(|first| format!("{} {why} {first}", what.len()));
    let rows =
        stay(rows, "rows stay, which somebody has changed or what is about them; the first is row");
    let checkpoints = stay(
        checkpoints,
        "checkpoints stay, which somebody has changed or put there; the first begins at position",
    );
    let faults: Vec<String> = [rows, checkpoints].into_iter().flatten().collect();
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("; ")) }
}
