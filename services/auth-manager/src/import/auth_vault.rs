use chrono::{DateTime, Utc};
use common::database::Database;
use common::settings::Secret;
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::legacy_token::{LegacyKey, bytes};
use super::take_in::{Found, issued_at, link, provider_of, take_in};
use super::{BATCH, Done, Importer, RowError, Tally, enter, failed};
use crate::models::grant::TokenType;
use crate::providers::TokenFacts;

/// An older vault: where it is, and the key its tokens are under.
pub struct OlderVault {
    /// PostgreSQL.
    pub url: Secret,
    /// 64 hex characters.
    pub key: Secret,
}

impl OlderVault {
    /// Whether the key is one; the error never quotes any of it.
    pub fn check_key(&self) -> Result<(), String> {
        LegacyKey::parse(self.key.expose()).map(drop)
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// As text, whatever the columns are, so that one odd row is one error.
#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    token_type: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    encrypted_token: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    iv: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    token_hash: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    metadata: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    session_state_id: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    created_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    updated_at: Option<DateTime<Utc>>,
}

/// One view of the table for the whole run, read in batches; nothing there is changed.
const BEGIN: &str = "
    BEGIN READ ONLY;
    SET LOCAL bytea_output = 'hex';
    SET LOCAL timezone = 'UTC';
    DECLARE older NO SCROLL CURSOR FOR
        SELECT coalesce(id::text, 'a row without an id') AS id, user_id::text, token_type::text,
            encrypted_token::text, iv::text, token_hash::text, metadata::text,
            session_state_id::text, created_at::timestamptz, updated_at::timestamptz
        FROM auth_vault ORDER BY created_at, id";

/// Takes over the rows of an older `auth_vault`; their ids go on as persistent ids. `progress`
/// hears after each row.
pub async fn run(
    importer: &Importer,
    older: &OlderVault,
    progress: &mut (dyn FnMut(&Tally) + Send),
) -> Result<Tally, String> {
    let key = LegacyKey::parse(older.key.expose())?;
    let wrong = |error| format!("the older vault: {error}");
    let source = Database::new(&older.url, None).map_err(wrong)?;
    let mut source = source.connect().await.map_err(wrong)?;
    let mut connection = importer.connect().await?;
    source.batch_execute(BEGIN).await.map_err(|error| failed(&error))?;
    let count: Count = diesel::sql_query("SELECT count(*) AS count FROM auth_vault")
        .get_result(&mut source)
        .await
        .map_err(|error| failed(&error))?;
    let mut tally = Tally { total: usize::try_from(count.count).unwrap_or(0), ..Tally::default() };
    loop {
        let rows = next(&mut source).await.map_err(|error| failed(&error))?;
        if rows.is_empty() {
            return Ok(tally);
        }
        for row in rows {
            let outcome = connection
                .transaction(async |connection| move_row(importer, connection, &key, &row).await)
                .await;
            enter(&mut tally, &row.id, outcome)?;
            progress(&tally);
        }
    }
}

async fn next(source: &mut AsyncPgConnection) -> QueryResult<Vec<Row>> {
    diesel::sql_query(format!("FETCH {BATCH} FROM older")).load(source).await
}

async fn move_row(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    key: &LegacyKey,
    row: &Row,
) -> Result<Done, RowError> {
    let id = Uuid::parse_str(&row.id).map_err(|_| RowError::Bad("the id is no UUID"))?;
    if is_known(connection, id).await? {
        return importer.end(Done::Skipped);
    }
    let user_id = row.user_id.as_deref().ok_or(RowError::Bad("the row has no user"))?;
    let user_id = Uuid::parse_str(user_id).map_err(|_| RowError::Bad("the user is no UUID"))?;
    let token = open(key, row)?;
    let provider = provider_of(importer, &token)?;
    let own = TokenFacts::decode(&token).and_then(|facts| facts.subject);
    let subject = own.unwrap_or_else(|| user_id.to_string());
    let created_at = row.created_at.unwrap_or(importer.now);
    add_user(connection, user_id, created_at).await?;
    let account = link(connection, importer, provider, user_id, &subject).await?;
    let found = Found {
        user_id,
        account_id: account.id,
        subject: &subject,
        provider,
        token: &token,
        token_type: Some(token_type(row)?),
        session_state_id: row.session_state_id.as_deref().unwrap_or(&row.id),
        expires_at: None,
        access: None,
        metadata: metadata(row),
        created_at,
        issued_at: issued_at(&token, row.updated_at.unwrap_or(created_at)),
        row: row.id.clone(),
        id: Some(id),
    };
    let done = take_in(connection, importer, &found).await?;
    // The id is new, though the same token may have come with another one.
    importer.end(if done == Done::Skipped { Done::Migrated } else { done })
}

/// What the row says besides.
fn metadata(row: &Row) -> Value {
    let metadata = row.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut members: Map<String, Value> = metadata.unwrap_or_default();
    members.insert("imported_from".to_owned(), json!("auth_vault"));
    Value::Object(members)
}

/// Opens the token and holds it against its hash: without a MAC nothing else tells a wrong key.
fn open(key: &LegacyKey, row: &Row) -> Result<zeroize::Zeroizing<String>, RowError> {
    let sealed = row.encrypted_token.as_deref().and_then(bytes);
    let sealed = sealed.ok_or(RowError::Bad("the token is neither hex nor base64"))?;
    let iv = row.iv.as_deref().and_then(bytes);
    let iv = iv.ok_or(RowError::Bad("the IV is neither hex nor base64"))?;
    let token = key.open(&iv, &sealed).ok_or(RowError::Bad("the token does not open"))?;
    if let Some(hash) = row.token_hash.as_deref().filter(|hash| !hash.is_empty()) {
        let hash = bytes(hash).ok_or(RowError::Bad("the hash is neither hex nor base64"))?;
        if !bool::from(Sha256::digest(token.as_bytes()).as_slice().ct_eq(&hash)) {
            return Err(RowError::Bad("the token is not what its hash says"));
        }
    }
    Ok(token)
}

fn token_type(row: &Row) -> Result<TokenType, RowError> {
    match row.token_type.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
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
