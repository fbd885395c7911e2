//! What one device costs among a thousand and among a million.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::house::{House, Session};
use crate::load::{Latencies, ms};

const ROUNDS: usize = 60;
/// Rounds before those that count: each page that they touch first was written anew.
const WARM_UP: usize = 10;
/// How often a key is asked for once it is in memory.
const FROM_MEMORY: usize = 20;
/// Keys for the logins of one walk, and some.
const KEYS: u32 = 80;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::with_keys(KEYS).await?;
    let session = house.join().await?;
    fill(&house, 1, 1_000).await?;
    let few = walk(&house, &session).await?;
    fill(&house, 1_001, 1_000_000).await?;
    let many = walk(&house, &session).await?;
    let names = [
        "login among 1,000,000 devices, against 1,000, p50",
        "one key of the JWKS among 1,000,000, against 1,000, p50",
        "one key of the JWKS from memory among 1,000,000, against 1,000, p50",
        "refresh among 1,000,000 sessions, against 1,000, p50",
        "logout with revocation among 1,000,000, against 1,000, p50",
    ];
    let from_memory = Figure {
        what: "one key of the JWKS from memory, against one from the database, p50",
        value: many[2] / many[1],
        unit: Unit::Ratio,
        goal: None,
        detail: format!("{:.2} ms against {:.2} ms, among 1,000,000", many[2], many[1]),
        limit: "the HTTP exchange, which both are",
    };
    let growth =
        names.into_iter().zip(many.into_iter().zip(few)).map(|(what, (many, few))| Figure {
            what,
            value: many / few,
            unit: Unit::Ratio,
            goal: Some(Goal::AtMost(1.2)),
            detail: format!(
                "{many:.2} ms against {few:.2} ms, each after VACUUM, a checkpoint and a warm-up"
            ),
            limit: "the depth of indexes, and what of them is not in memory",
        });
    Ok(growth.chain([from_memory]).collect())
}

/// Login, key by id from the database and from memory, refresh and logout: milliseconds each, in
/// the order of the table.
async fn walk(house: &House, person: &Session) -> Result<[f64; 5]> {
    let mut taken: [Vec<Duration>; 5] = Default::default();
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            taken = Default::default();
        }
        let started = Instant::now();
        let mut session = house.log_in(&person.username, &person.device).await?;
        taken[0].push(started.elapsed());
        let url = house.users.url(&format!("/.well-known/jwks.json?kid={}", kid(&session)?));
        for time in 0..=FROM_MEMORY {
            let started = Instant::now();
            house.http.get(&url).send().await?.error_for_status()?.bytes().await?;
            taken[1 + time.min(1)].push(started.elapsed());
        }
        let started = Instant::now();
        house.refresh(&mut session).await?;
        taken[3].push(started.elapsed());
        let started = Instant::now();
        house.log_out(&session).await?;
        taken[4].push(started.elapsed());
    }
    Ok(taken.map(|taken| ms(Latencies::new(taken).percentile(0.5))))
}

fn kid(session: &Session) -> Result<String> {
    use base64::Engine as _;
    let header = session.access_token.split('.').next().context("a header")?;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header)?;
    let header: serde_json::Value = serde_json::from_slice(&header)?;
    Ok(header["kid"].as_str().context("a kid")?.to_owned())
}

/// Counts the feed's entries that the service has read.
const HEARD: &str = "user_service_feed_lag_seconds_count";

/// Other people, each with a device, a key, a session and an entry in the change feed.
async fn fill(house: &House, from: i64, to: i64) -> Result<()> {
    let sql = house.sql().await?;
    let heard = house.users.counter(HEARD, &[]).await?;
    for statement in [
        "INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, 'u' || n, 'u' || n, 'none', now(), now()
         FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO devices (id, user_id, sealed_key, sealing_key_id, created_at, bound_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid,
             decode(repeat(md5(n::text), 6), 'hex'), 'dev', now(), now()
         FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO published_keys (kid, public_jwk, key_type, state, user_id, sealing_key_id,
             published_at, activated_at, until)
         SELECT md5(n::text), jsonb_build_object('kty', 'RSA', 'kid', md5(n::text),
             'n', repeat(md5(n::text), 10), 'e', 'AQAB'), 'RSA', 'active',
             lpad(to_hex(n), 32, '0')::uuid, 'dev', now() - interval '1 day',
             now() - interval '1 day', now() + interval '30 days'
         FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO auth_sessions (id, user_id, device_id, api, kid, mac_version, sealed_secret,
             sealing_key_id, auth_time, amr, client_id, scope, address_range, created_at,
             last_seen_at, rotated_at, last_access_expires_at, expires_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid,
             lpad(to_hex(n), 32, '0')::uuid, 'bearer', md5(n::text), 1,
             decode(repeat(md5(n::text), 6), 'hex'), 'dev', now(), '{pwd}', 'latchkey-app', 'chat',
             '127.0.0.0/24', now(), now(), now(), now() + interval '1 day',
             now() + interval '30 days'
         FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO key_changes (kind, value, until)
         SELECT 'sid', lpad(to_hex(n), 32, '0')::uuid::text, now() + interval '1 day'
         FROM generate_series($1::bigint, $2::bigint) n",
    ] {
        sql.execute(statement, &[&from, &to]).await?;
    }
    sql.batch_execute("VACUUM ANALYZE").await?;
    sql.batch_execute("CHECKPOINT").await?;
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    let entries = (to - from + 1) as f64;
    house.users.wait_for(HEARD, heard + entries).await?;
    house.rest(KEYS).await
}
