//! How many rows a second `latchkey vault rewrap` moves to another key.

use std::process::Stdio;

use anyhow::{Context as _, Error, Result, bail};
use auth_manager::MIGRATIONS;
use auth_manager::models::grant::{GrantKey, TokenType};
use auth_manager::vault::token_identity;
use test_support::TestDatabase;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;
use vault_crypto::Keyring;

use crate::figure::{Figure, Unit};
use crate::service::program;

const ROWS: usize = 20_000;
const BATCH: usize = 1_000;
const OLD: &str = "old:1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "new:2222222222222222222222222222222222222222222222222222222222222222";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let database = TestDatabase::create("auth", || MIGRATIONS).await;
    let sql = database.client().await.map_err(Error::msg)?;
    let ring = Keyring::parse(OLD)?;
    for from in (0..ROWS).step_by(BATCH) {
        fill(&sql, &ring, from).await?;
    }
    sql.batch_execute("VACUUM ANALYZE auth_vault").await?;
    let started = Instant::now();
    rewrap(database.url()).await?;
    let taken = started.elapsed();
    let statement = "SELECT count(*) FROM auth_vault WHERE sealing_key_id = 'new'";
    let moved: i64 = sql.query_one(statement, &[]).await?.get(0);
    if usize::try_from(moved)? != ROWS {
        bail!("{moved} of {ROWS} rows are under the new key");
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = ROWS as f64 / taken.as_secs_f64();
    Ok(vec![Figure {
        what: "`latchkey vault rewrap`, rows a second",
        value: rate,
        unit: Unit::PerSecond,
        goal: None,
        detail: format!(
            "{ROWS} grants in {:.1} s, each opened again after writing",
            taken.as_secs_f64()
        ),
        limit: "PostgreSQL, which writes one batch after another: the command computes for a \
                sixth of that time",
    }])
}

/// Grants as people have them, `BATCH` at once.
async fn fill(sql: &Client, ring: &Keyring, from: usize) -> Result<()> {
    let (mut ids, mut subjects, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for number in from..from + BATCH {
        let subject = format!("subject-{number}");
        let key = GrantKey {
            provider: "keycloak",
            subject: &subject,
            client_id: "latchkey-offline",
            session_state_id: &subject,
        };
        let token = ring.seal(&token_identity(&key, TokenType::Offline), &[b'x'; 700]);
        ids.push(Uuid::new_v4());
        sealed.push(token.into_bytes());
        subjects.push(subject);
    }
    let users = "INSERT INTO users (id, created_at) SELECT unnest($1::uuid[]), now()";
    sql.execute(users, &[&ids]).await?;
    let grants = "INSERT INTO auth_vault (id, user_id, provider, subject, client_id,
            session_state_id, token_type, encrypted_token, sealing_key_id, token_hash, created_at,
            updated_at, last_access_at)
        SELECT id, id, 'keycloak', subject, 'latchkey-offline', subject, 'offline', sealed, 'old',
            decode(md5(subject), 'hex'), now(), now(), now()
        FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS grant_of (id, subject, sealed)";
    sql.execute(grants, &[&ids, &subjects, &sealed]).await?;
    Ok(())
}

async fn rewrap(url: &str) -> Result<()> {
    let output = Command::new(program("latchkey")?)
        .args(["vault", "rewrap", "--service", "auth-manager"])
        .env("AUTH_MANAGER__ENVIRONMENT", "development")
        .env("AUTH_MANAGER__DATABASE__URL", url)
        .env("AUTH_MANAGER__VAULT__KEYS", format!("{NEW},{OLD}"))
        .stdin(Stdio::null())
        .output()
        .await
        .context("latchkey can't be started")?;
    if !output.status.success() {
        bail!("rewrap failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
