//! How soon a service is ready, and how much memory it holds then.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::load::ms;
use crate::service::Service;
use crate::vault::Vault;

/// Until what was only needed for the start is given back.
const REST: Duration = Duration::from_secs(3);

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::start(1).await?;
    let vault = Vault::start().await?;
    tokio::time::sleep(REST).await;
    let mut figures = Vec::new();
    for (start, memory, service) in [
        ("user-service, start to ready", "user-service, idle memory", &house.users),
        ("chat-service, start to ready", "chat-service, idle memory", &house.chats[0]),
        ("auth-manager, start to ready", "auth-manager, idle memory", &vault.service),
    ] {
        figures.push(Figure {
            what: start,
            value: ms(service.start_time),
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(100.0)),
            detail: "from the process's start to the first 200 of `/health/ready`".to_owned(),
            limit: "one connection to PostgreSQL and the question which keys of the ring are in \
                    use; at user-service one Argon2id hash more",
        });
        figures.push(Figure {
            what: memory,
            value: resident(service)?,
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(15.0)),
            detail: "resident, after a handful of requests".to_owned(),
            limit: "12 MiB are pages of the program and its libraries, which their files back; some \
                    4 MiB belong to each worker",
        });
    }
    Ok(figures)
}

fn resident(service: &Service) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
