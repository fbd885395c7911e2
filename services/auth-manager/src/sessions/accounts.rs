use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use crate::models::account::{self, Account};
use crate::models::user::{self, User};

/// Two first sights of one subject wait for each other, so that only one user is made.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1 || E'\\n' || $2, 7305790122))";

/// The account of `subject` at `issuer`, made with a user of its own where nobody has it.
pub async fn find_or_create_account(
    connection: &mut AsyncPgConnection,
    provider: &str,
    issuer: &str,
    subject: &str,
    now: DateTime<Utc>,
) -> QueryResult<Account> {
    if let Some(account) = account::find_by_subject(connection, issuer, subject).await? {
        return Ok(account);
    }
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
            let user = User { id: Uuid::new_v4(), keycloak_id: None, created_at: now };
            user::insert(connection, &user).await?;
            let account = Account::new(user.id, provider, issuer, subject, now);
            // Somebody may have linked it since; then the user made here goes with the error.
            account::upsert(connection, &account).await?.ok_or(diesel::result::Error::NotFound)
        })
        .await
}
