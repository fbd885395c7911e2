//! `latchkey rollout show` and `latchkey rollout set`: which share of browsers' sessions gets the
//! newer cookies.

use anyhow::Result;
use common::clock::rfc3339;
use common::service;
use serde_json::json;
use user_service::config::{SCHEMA, Settings};
use user_service::rollout::{Operated, Operator};

use crate::settings::environment;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show which share of browsers' sessions gets the newer cookies, and who decided so
    Show {
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Let a share of browsers' sessions get the newer cookies, whatever was decided before
    Set {
        /// Percent; 0 takes all back to the older ones
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        share: u8,
    },
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let settings: Settings = service::load(&SCHEMA, &environment()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut operator = Operator::open(&settings).await.map_err(anyhow::Error::msg)?;
        match command {
            Command::Show { json: true } => println!("{}", json!(operator.show().await?)),
            Command::Show { json: false } => tell(&operator.show().await?),
            Command::Set { share } => tell(&operator.set(*share).await?),
        }
        Ok(())
    })
}

fn tell(operated: &Operated) {
    let Operated { share, decided_by, reason, decided_at, may_have_v4 } = operated;
    println!("v5 {share} %, v4 {} %", 100 - share);
    let since = decided_at.map(|at| format!(" at {}", rfc3339(at))).unwrap_or_default();
    println!("decided by {decided_by}{since}");
    if let Some(reason) = reason {
        println!("because {reason}");
    }
    if let Some(count) = may_have_v4 {
        println!("{count} live sessions have not refreshed since, and may have v4 cookies");
    }
}
