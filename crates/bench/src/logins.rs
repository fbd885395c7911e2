//! A login, against its password hash alone.

use anyhow::Result;
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::load::{Latencies, ms};

const ROUNDS: u32 = 60;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::with_keys(ROUNDS).await?;
    let mut sessions = Vec::new();
    for _ in 0..ROUNDS {
        sessions.push(house.join().await?);
    }
    house.rest(ROUNDS).await?;
    // The service's defaults.
    let parameters = Params::new(19_456, 2, 1, Some(32)).map_err(anyhow::Error::msg)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let (mut logins, mut hashes) = (Vec::new(), Vec::new());
    for session in &sessions {
        let started = Instant::now();
        house.log_in(&session.username, &session.device).await?;
        logins.push(started.elapsed());
        let started = Instant::now();
        let mut hash = [0; 32];
        argon2
            .hash_password_into(b"correct horse battery staple", b"0123456789abcdef", &mut hash)
            .map_err(anyhow::Error::msg)?;
        std::hint::black_box(&hash);
        hashes.push(started.elapsed());
    }
    let [login, hash] = [logins, hashes].map(|taken| ms(Latencies::new(taken).percentile(0.5)));
    Ok(vec![Figure {
        what: "login, against its Argon2id hash alone, p50",
        value: login / hash,
        unit: Unit::Ratio,
        goal: Some(Goal::AtMost(1.15)),
        detail: format!("{login:.1} ms against {hash:.1} ms"),
        limit: "by PostgreSQL's log some 6 ms of statements, most of them after the hash; the rest is \
                the hash itself, in memory not touched before and beside the making of a key",
    }])
}
