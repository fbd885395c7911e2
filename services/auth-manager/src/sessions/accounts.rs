use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use crate::models::account::{self, Account};
use crate::models::user::{self, User};
use crate::providers::{Provider, ProviderKind};
use crate::state::State;

/// Two first sights of one subject wait for each other, so that only one user is made.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1 || E'\\n' || $2, 7305790122))";

/// The account of `subject` at `provider`, made with a user of its own where nobody has it.
pub async fn find_or_create_account(
    state: &State,
    connection: &mut AsyncPgConnection,
    provider: &Provider,
    subject: &str,
) -> QueryResult<Account> {
    let issuer = provider.issuer();
    if let Some(account) = account::find_by_subject(connection, issuer, subject).await? {
        return Ok(account);
    }
    let now = state.clock.now();
    connection
        .transaction(async |connection| {
            diesel::sql_query(LOCK)
                .bind::<diesel::sql_types::Text, _>(issuer)
                .bind::<diesel::sql_types::Text, _>(subject)
                .execute(connection)
                .await?;
            if let Some(account) = account::find_by_subject(connection, issuer, subject).await? {
                return Ok(account);
            }
            let user_id = match older_user(state, connection, provider, subject).await? {
                Some(user) => user.id,
                None => create_user(connection, now).await?,
            };
            let account = Account::new(user_id, provider.name(), issuer, subject, now);
            // Somebody may have linked it since; then the user made here goes with the error.
            account::upsert(connection, &account).await?.ok_or(diesel::result::Error::NotFound)
        })
        .await
}

/// Whom an older layout knew by this subject. It knew one Keycloak, the default one: a subject of
/// any other provider says nothing.
async fn older_user(
    state: &State,
    connection: &mut AsyncPgConnection,
    provider: &Provider,
    subject: &str,
) -> QueryResult<Option<User>> {
    let default = state.providers.default();
    if default.name() != provider.name() || default.kind() != ProviderKind::Keycloak {
        return Ok(None);
    }
    user::find_by_keycloak_id(connection, subject).await
}

async fn create_user(connection: &mut AsyncPgConnection, now: DateTime<Utc>) -> QueryResult<Uuid> {
    let user = User { id: Uuid::new_v4(), keycloak_id: None, created_at: now };
    user::insert(connection, &user).await?;
    Ok(user.id)
}
