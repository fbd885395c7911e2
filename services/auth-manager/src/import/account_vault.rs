use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension as _, QueryResult};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use serde_json::json;
use uuid::Uuid;

use super::take_in::{Found, issued_at, link, provider_of, take_in};
use super::{BATCH, Done, Importer, RowError, Tally, enter, failed, full};
use crate::models::account::{self, Account, AccountTokens};
use crate::models::session_event::{self, EventKind};
use crate::providers::{Provider, TokenFacts};
use crate::vault::id_token_identity;

const PLAIN: &str =
    "(access_token IS NOT NULL OR refresh_token IS NOT NULL OR id_token IS NOT NULL)";

/// Whether there are columns for plain tokens still.
const COLUMNS: &str = "SELECT count(*) AS count FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = 'user_sessions'
        AND column_name = 'refresh_token'";

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Bool)]
    has_user: bool,
    #[diesel(sql_type = Nullable<Text>)]
    keycloak_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    provider_session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    access_token: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    refresh_token: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    id_token: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    access_token_expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    refresh_token_expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Moves the plain tokens of an older `user_sessions` into accounts and vault, and empties them in
/// the same transaction. `progress` hears after each row.
pub async fn run(
    importer: &Importer,
    progress: &mut (dyn FnMut(&Tally) + Send),
) -> Result<Tally, String> {
    let mut connection = importer.connect().await?;
    let plain: Count =
        diesel::sql_query(COLUMNS).get_result(&mut connection).await.map_err(|e| failed(&e))?;
    if plain.count == 0 {
        // The step that drops them has been made.
        return Ok(Tally::default());
    }
    let count: Count =
        diesel::sql_query(format!("SELECT count(*) AS count FROM user_sessions WHERE {PLAIN}"))
            .get_result(&mut connection)
            .await
            .map_err(|error| failed(&error))?;
    let mut tally = Tally { total: usize::try_from(count.count).unwrap_or(0), ..Tally::default() };
    let mut after = Uuid::nil();
    loop {
        let ids = next(&mut connection, after).await.map_err(|error| failed(&error))?;
        let Some(last) = ids.last() else { return Ok(tally) };
        after = last.id;
        for Id { id } in ids {
            let outcome = connection
                .transaction(async |connection| move_row(importer, connection, id).await)
                .await;
            enter(&mut tally, &id.to_string(), outcome)?;
            progress(&tally);
        }
    }
}

async fn next(connection: &mut AsyncPgConnection, after: Uuid) -> QueryResult<Vec<Id>> {
    let query =
        format!("SELECT id FROM user_sessions WHERE id > $1 AND {PLAIN} ORDER BY id LIMIT $2");
    diesel::sql_query(query)
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(BATCH)
        .load(connection)
        .await
}

async fn move_row(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    id: Uuid,
) -> Result<Done, RowError> {
    // Another run may have been faster.
    let Some(row) = read(connection, id).await? else { return importer.end(Done::Skipped) };
    let sample = row.refresh_token.as_deref().or(row.id_token.as_deref());
    let sample = sample.or(row.access_token.as_deref());
    let done = match sample {
        Some(sample) => {
            let provider = provider_of(importer, sample)?;
            move_tokens(importer, connection, id, &row, provider).await?
        }
        None => Done::Skipped,
    };
    empty(connection, id).await?;
    importer.end(done)
}

async fn read(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Row>> {
    let query = format!(
        "SELECT session.user_id, person.id IS NOT NULL AS has_user, person.keycloak_id,
             provider_session_id, access_token, refresh_token, id_token,
             access_token_expires_at, refresh_token_expires_at, session.created_at
         FROM user_sessions session LEFT JOIN users person ON person.id = session.user_id
         WHERE session.id = $1 AND {PLAIN} FOR UPDATE OF session"
    );
    let row = diesel::sql_query(query).bind::<SqlUuid, _>(id);
    let row: Option<Row> = row.get_result(connection).await.optional()?;
    Ok(row.map(|row| Row {
        keycloak_id: full(row.keycloak_id),
        provider_session_id: full(row.provider_session_id),
        access_token: full(row.access_token),
        refresh_token: full(row.refresh_token),
        id_token: full(row.id_token),
        ..row
    }))
}

async fn move_tokens(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    id: Uuid,
    row: &Row,
    provider: &Provider,
) -> Result<Done, RowError> {
    if !row.has_user {
        return Err(RowError::Bad("the row's user is not there"));
    }
    let subject = row.keycloak_id.clone().unwrap_or_else(|| row.user_id.to_string());
    let facts = row.refresh_token.as_deref().and_then(TokenFacts::decode);
    let own = facts.and_then(|facts| facts.subject);
    if row.keycloak_id.is_some() && own.as_ref().is_some_and(|own| *own != subject) {
        return Err(RowError::Bad("the token is another person's"));
    }
    let account = link(connection, importer, provider, row.user_id, &subject).await?;
    if let Some(tokens) = account_tokens(importer, row, &account) {
        account::update_tokens(connection, account.id, &tokens, importer.now).await?;
    }
    let sid = row.sid().unwrap_or_else(|| id.to_string());
    let done = match &row.refresh_token {
        Some(token) => {
            let found = Found {
                user_id: row.user_id,
                account_id: account.id,
                subject: own.as_deref().unwrap_or(&subject),
                provider,
                token,
                token_type: None,
                session_state_id: &sid,
                expires_at: row.refresh_token_expires_at,
                access: row.access_token.as_deref().zip(row.access_token_expires_at),
                metadata: json!({ "imported_from": "user_sessions" }),
                created_at: row.created_at,
                issued_at: issued_at(token, row.created_at),
                row: id.to_string(),
                id: None,
            };
            take_in(connection, importer, &found).await?
        }
        None => Done::Migrated,
    };
    claim(connection, id, &account, &sid).await?;
    session_event::insert(connection, &[id], EventKind::Imported, None, importer.now).await?;
    Ok(done)
}

impl Row {
    /// The provider's session, as far as any token or the row itself names it.
    fn sid(&self) -> Option<String> {
        let tokens = [&self.refresh_token, &self.id_token, &self.access_token];
        let mut facts = tokens.into_iter().flatten().filter_map(|token| TokenFacts::decode(token));
        facts.find_map(|facts| facts.session_state_id).or_else(|| self.provider_session_id.clone())
    }
}

/// None where the account has tokens of a later sign-in already.
fn account_tokens(importer: &Importer, row: &Row, account: &Account) -> Option<AccountTokens> {
    let tokens = [&row.refresh_token, &row.id_token, &row.access_token];
    let sample = tokens.into_iter().flatten().next()?;
    let issued_at = issued_at(sample, row.created_at);
    if account.last_refresh_at.is_some_and(|last| last >= issued_at) {
        return None;
    }
    let sealed = row.id_token.as_deref().map(|token| {
        let identity = id_token_identity(&account.issuer, &account.subject);
        importer.keyring.seal(&identity, token.as_bytes())
    });
    Some(AccountTokens {
        token_type: Some("Bearer".to_owned()),
        scope: account.scope.clone(),
        sealing_key_id: sealed.as_ref().map(|sealed| sealed.key_id().to_owned()),
        sealed_id_token: sealed.map(vault_crypto::Sealed::into_bytes),
        access_expires_at: row.access_token_expires_at,
        last_refresh_at: Some(issued_at),
    })
}

async fn empty(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE user_sessions SET access_token = NULL, refresh_token = NULL, id_token = NULL,
             access_token_expires_at = NULL, refresh_token_expires_at = NULL
         WHERE id = $1",
    )
    .bind::<SqlUuid, _>(id)
    .execute(connection)
    .await
}

/// The session is linked to its account, and to the provider's where no other row is that one.
async fn claim(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    account: &Account,
    sid: &str,
) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE user_sessions SET account_id = $2,
             provider = CASE WHEN known THEN NULL ELSE $3 END,
             provider_session_id = CASE WHEN known THEN NULL ELSE $4 END
         FROM (SELECT EXISTS (SELECT FROM user_sessions
                 WHERE provider = $3 AND provider_session_id = $4 AND id <> $1) AS known) AS others
         WHERE user_sessions.id = $1",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(account.id)
    .bind::<Text, _>(&account.provider)
    .bind::<Text, _>(sid)
    .execute(connection)
    .await
}
