//! Refresh rotations, against pgbench running the same statements.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use tokio::process::Command;
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::timing::us;

const FAMILIES: u32 = 16;
const SECONDS: u32 = 6;
const SIGNATURES: u32 = 500;

/// What one rotation asks of PostgreSQL, on one of the families of the run.
const STATEMENTS: &str = "\
\\set family random(0, 15)
SELECT * FROM auth_sessions WHERE id = (SELECT id FROM bench_families WHERE number = :family);
UPDATE auth_sessions SET counter = counter + 1, user_agent = 'pgbench', address_range = '127.0.0.0/24',
    last_seen_at = now(), rotated_at = now(), recent_rotations = '{}', mac_version = 1,
    last_access_expires_at = greatest(last_access_expires_at, now() + interval '2 hours')
    WHERE id = (SELECT id FROM bench_families WHERE number = :family) AND counter >= 0
        AND ended_at IS NULL;
";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::with_keys(FAMILIES).await?;
    let mut sessions = Vec::new();
    for _ in 0..FAMILIES {
        sessions.push(house.join().await?);
    }
    house.rest(FAMILIES).await?;
    let started = Instant::now();
    let period = Duration::from_secs(SECONDS.into());
    let rotations: u32 = try_join_all(sessions.into_iter().map(|mut session| {
        let house = &house;
        async move {
            let mut count = 0;
            while started.elapsed() < period {
                house.refresh(&mut session).await?;
                count += 1;
            }
            anyhow::Ok(count)
        }
    }))
    .await?
    .iter()
    .sum();
    let ours = f64::from(rotations) / started.elapsed().as_secs_f64();
    let bare = pgbench(&house).await?;
    let signature = signature()?;
    Ok(vec![Figure {
        what: "refresh rotations a second, against pgbench running the same statements",
        value: ours / bare,
        unit: Unit::Ratio,
        goal: Some(Goal::AtLeast(0.7)),
        detail: format!(
            "{ours:.0}/s against {bare:.0}/s, {FAMILIES} families; pgbench that signed too would \
             come to {:.2} ×: RSA-2048 takes {:.0} µs",
            signing(bare, signature),
            us(signature)
        ),
        limit: "the processor: pgbench's statements fill it by themselves; a signature, an HTTP \
                exchange with its client and hops between threads come on top",
    }])
}

/// What would be left of a rate that fills all cores if a signature came on top of each.
fn signing(rate: f64, signature: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).map_or(1.0, f64::from);
    1.0 / (1.0 + signature.as_secs_f64() * rate / cores)
}

/// What one signature takes, on a core that does nothing else.
fn signature() -> Result<Duration> {
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let started = std::time::Instant::now();
    for _ in 0..SIGNATURES {
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        std::hint::black_box(signer.sign_oneshot_to_vec(&[0; 600])?);
    }
    Ok(started.elapsed() / SIGNATURES)
}

async fn pgbench(house: &House) -> Result<f64> {
    let sql = house.sql().await?;
    sql.batch_execute(
        "CREATE TABLE bench_families AS
         SELECT id, row_number() OVER () - 1 AS number FROM auth_sessions;
         CREATE UNIQUE INDEX ON bench_families (number); ANALYZE bench_families",
    )
    .await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("refresh.sql");
    std::fs::write(&script, STATEMENTS)?;
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={FAMILIES}"))
        .arg(format!("--time={SECONDS}"))
        .arg("--file")
        .arg(&script)
        .arg(house.database_url())
        .stdin(Stdio::null())
        .output()
        .await
        .context("pgbench can't be started")?;
    if !output.status.success() {
        bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
    Ok(rate.context("pgbench said no rate")?.parse()?)
}
