//! Measures Latchkey: services as they are shipped, a real PostgreSQL, a real Keycloak.
//! `cargo xtask bench` builds and starts what it needs.

#![expect(clippy::print_stdout, reason = "the table is its output")]

mod browsers;
mod deliveries;
mod devices;
mod draws;
mod emergencies;
mod figure;
mod footprint;
mod guard;
mod house;
mod load;
mod logins;
mod machine;
mod refreshes;
mod revocations;
mod rewraps;
mod sealing;
mod service;
mod table;
mod timing;
mod vault;
mod vault_rows;
mod verification;
mod wire;

use std::pin::Pin;

use anyhow::{Result, bail};
use clap::Parser;

use crate::figure::Figure;

type Measurement = fn() -> Pin<Box<dyn Future<Output = Result<Vec<Figure>>>>>;

/// In the order of the table.
const ALL: &[(&str, Measurement)] = &[
    ("verification", || Box::pin(verification::measure())),
    ("guard", || Box::pin(guard::measure())),
    ("refreshes", || Box::pin(refreshes::measure())),
    ("browsers", || Box::pin(browsers::measure())),
    ("logins", || Box::pin(logins::measure())),
    ("revocations", || Box::pin(revocations::measure())),
    ("emergencies", || Box::pin(emergencies::measure())),
    ("deliveries", || Box::pin(deliveries::measure())),
    ("footprint", || Box::pin(footprint::measure())),
    ("devices", || Box::pin(devices::measure())),
    ("sealing", || Box::pin(sealing::measure())),
    ("draws", || Box::pin(draws::measure())),
    ("rewraps", || Box::pin(rewraps::measure())),
    ("vault-rows", || Box::pin(vault_rows::measure())),
];

/// Measures Latchkey
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// What to measure; everything where none is named
    names: Vec<String>,
    /// Compare the ratios with those in docs/BENCHMARKS.md; fail where one is worse
    #[arg(long)]
    check: bool,
    /// How much worse a ratio may be, as a share
    #[arg(long, default_value_t = 0.25)]
    tolerance: f64,
    /// Keep the figures in docs/BENCHMARKS.md, in place of the former ones
    #[arg(long)]
    write: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = measure(&chosen(&arguments.names)?).await?;
    print!("\n{}", table::render(&figures));
    if arguments.write {
        table::write(&figures, arguments.names.is_empty())?;
    }
    if arguments.check {
        table::check(&figures, arguments.tolerance)?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<(&'static str, Measurement)>> {
    if let Some(name) = names.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("there is no measurement `{name}`; there are {}", known.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(ALL.iter().filter(|(name, _)| wanted(name)).copied().collect())
}

async fn measure(chosen: &[(&str, Measurement)]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, measurement) in chosen {
        eprintln!("measuring {name} …");
        figures.extend(measurement().await?);
    }
    Ok(figures)
}
