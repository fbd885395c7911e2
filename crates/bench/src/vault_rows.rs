//! A draw from a vault of a thousand rows, and from one of a million.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::load::{Latencies, ms};
use crate::vault::Vault;

const DRAWS: usize = 4_000;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let vault = Vault::start().await?;
    fill(&vault, 1, 1_000).await?;
    let few = draw_many(&vault).await?;
    fill(&vault, 1_001, 1_000_000).await?;
    let many = draw_many(&vault).await?;
    let [few, many] = [few, many].map(|taken| ms(taken.percentile(0.5)));
    Ok(vec![Figure {
        what: "draw from a vault of 1,000,000 rows, against one of 1,000, p50",
        value: many / few,
        unit: Unit::Ratio,
        goal: Some(Goal::AtMost(1.2)),
        detail: format!("{many:.3} ms against {few:.3} ms, one caller"),
        limit: "the HTTP exchange and one query; what grows is the depth of its indexes",
    }])
}

async fn draw_many(vault: &Vault) -> Result<Latencies> {
    let mut taken = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let started = Instant::now();
        vault.draw().await?;
        taken.push(started.elapsed());
    }
    Ok(Latencies::new(taken))
}

/// Other people's grants, each with an id and a drawn token: as large as real ones.
async fn fill(vault: &Vault, from: i64, to: i64) -> Result<()> {
    let sql = vault.sql().await?;
    for statement in [
        "INSERT INTO users (id, created_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, now() FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id,
             token_type, encrypted_token, sealing_key_id, token_hash, created_at, updated_at,
             last_access_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, 'keycloak',
             md5(n::text), 'latchkey-offline', md5(n::text), 'offline',
             decode(repeat(md5(n::text), 24), 'hex'), 'bench', decode(md5(n::text), 'hex'), now(),
             now(), now()
         FROM generate_series($1::bigint, $2::bigint) n",
        "INSERT INTO persistent_tokens (id, grant_id, user_id, session_state_id, created_at)
         SELECT gen_random_uuid(), id, user_id, session_state_id, now()
         FROM generate_series($1::bigint, $2::bigint) n JOIN auth_vault ON id = lpad(to_hex(n), 32, '0')::uuid",
        "INSERT INTO drawn_tokens (grant_id, scope, sealed_access_token, sealing_key_id,
             obtained_at, expires_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, '', decode(repeat(md5(n::text), 40), 'hex'),
             'bench', now(), now() + interval '1 hour'
         FROM generate_series($1::bigint, $2::bigint) n",
    ] {
        sql.execute(statement, &[&from, &to]).await?;
    }
    sql.batch_execute("VACUUM ANALYZE").await?;
    sql.batch_execute("CHECKPOINT").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
