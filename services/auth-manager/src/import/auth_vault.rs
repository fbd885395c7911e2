use chrono::{DateTime, Utc};
use common::settings::Secret;
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::legacy_token::{LegacyKey, bytes};
use super::take_in::{Found, link, provider_of, take_in};
use super::{BATCH, Done, Importer, RowError, Tally, failed};
use crate::models::grant::TokenType;
use crate::providers::TokenFacts;

/// An older vault: where it is, and the key its tokens are under.
pub struct OlderVault {
    /// PostgreSQL.
    pub url: Secret,
    /// 64 hex characters.
    pub key: Secret,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    token_type: String,
    #[diesel(sql_type = Text)]
    encrypted_token: String,
    #[diesel(sql_type = Text)]
    iv: String,
    #[diesel(sql_type = Nullable<Text>)]
    token_hash: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    metadata: Option<Value>,
    #[diesel(sql_type = Nullable<Text>)]
    session_state_id: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Takes over the rows of an older `auth_vault`; their ids go on as persistent ids. `progress`
/// hears after each row.
pub async fn run(
    importer: &Importer,
    older: &OlderVault,
    progress: &mut (dyn FnMut(&Tally) + Send),
) -> Result<Tally, String> {
    let key = LegacyKey::parse(older.key.expose())?;
    let mut source = AsyncPgConnection::establish(older.url.expose())
        .await
        .map_err(|error| format!("the older vault: {error}"))?;
    let mut connection = importer.connect().await?;
    let count: Count = diesel::sql_query("SELECT count(*) AS count FROM auth_vault")
        .get_result(&mut source)
        .await
        .map_err(|error| failed(&error))?;
    let mut tally = Tally { total: usize::try_from(count.count).unwrap_or(0), ..Tally::default() };
    let mut after = Uuid::nil();
    loop {
        let rows = next(&mut source, after).await.map_err(|error| failed(&error))?;
        let Some(last) = rows.last() else { return Ok(tally) };
        after = last.id;
        for row in rows {
            let outcome = connection
                .transaction(async |connection| move_row(importer, connection, &key, &row).await)
                .await;
            tally.count(row.id, outcome);
            progress(&tally);
        }
    }
}

async fn next(source: &mut AsyncPgConnection, after: Uuid) -> QueryResult<Vec<Row>> {
    diesel::sql_query(
        "SELECT id::uuid, user_id::text::uuid AS user_id, token_type::text,
             encrypted_token::text, iv::text, token_hash::text, metadata::jsonb,
             session_state_id::text, created_at::timestamptz
         FROM auth_vault WHERE id::uuid > $1 ORDER BY id::uuid LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(BATCH)
    .load(source)
    .await
}

async fn move_row(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    key: &LegacyKey,
    row: &Row,
) -> Result<Done, RowError> {
    if is_known(connection, row.id).await? {
        return importer.end(Done::Skipped);
    }
    let user_id = row.user_id.ok_or(RowError::Bad("the row has no user"))?;
    let token = open(key, row)?;
    let provider = provider_of(importer, &token)?;
    let facts = TokenFacts::decode(&token);
    let own = facts.as_ref().and_then(|facts| facts.subject.clone());
    let subject = own.unwrap_or_else(|| user_id.to_string());
    add_user(connection, user_id, row.created_at).await?;
    let account = link(connection, importer, provider, user_id, &subject).await?;
    let sid = row.session_state_id.clone().unwrap_or_else(|| row.id.to_string());
    let found = Found {
        user_id,
        account_id: account.id,
        subject: &subject,
        provider,
        token: &token,
        token_type: Some(token_type(row)?),
        session_state_id: &sid,
        expires_at: None,
        access: None,
        metadata: row.metadata.clone().filter(Value::is_object).unwrap_or_else(|| json!({})),
        created_at: row.created_at,
        id: Some(row.id),
    };
    take_in(connection, importer, &found).await?;
    importer.end(Done::Migrated)
}

/// Opens the token and holds it against its hash: without a MAC nothing else tells a wrong key.
fn open(key: &LegacyKey, row: &Row) -> Result<zeroize::Zeroizing<String>, RowError> {
    let sealed = bytes(&row.encrypted_token).ok_or(RowError::Bad("the token is not encoded"))?;
    let iv = bytes(&row.iv).ok_or(RowError::Bad("the IV is not encoded"))?;
    let token = key.open(&iv, &sealed).ok_or(RowError::Bad("the token does not open"))?;
    if let Some(hash) = row.token_hash.as_deref().filter(|hash| !hash.is_empty()) {
        let hash = bytes(hash).ok_or(RowError::Bad("the hash is not encoded"))?;
        if !bool::from(Sha256::digest(token.as_bytes()).ct_eq(&hash)) {
            return Err(RowError::Bad("the token is not what its hash says"));
        }
    }
    Ok(token)
}

fn token_type(row: &Row) -> Result<TokenType, RowError> {
    match row.token_type.to_ascii_lowercase().as_str() {
        "offline" | "offline_token" => Ok(TokenType::Offline),
        "refresh" | "refresh_token" => Ok(TokenType::Refresh),
        _ => Err(RowError::Bad("the token type is neither offline nor refresh")),
    }
}

async fn is_known(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<bool> {
    let known: Count =
        diesel::sql_query("SELECT count(*) AS count FROM persistent_tokens WHERE id = $1")
            .bind::<SqlUuid, _>(id)
            .get_result(connection)
            .await?;
    Ok(known.count > 0)
}

async fn add_user(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    created_at: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query("INSERT INTO users (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(created_at)
        .execute(connection)
        .await
}
