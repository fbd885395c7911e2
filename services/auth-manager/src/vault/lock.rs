//! Advisory locks of PostgreSQL, held to the end of the transaction: a row that is not there yet
//! can't be locked, and sharers stand in several rows.
//!
//! Everybody takes them in one order: user, session, identity, token; within one kind by name.

use std::collections::BTreeSet;

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use crate::models::grant::{Grant, GrantKey};

/// Locks what `key` names, row or no row: to create, rotate, revoke or import a grant of either
/// token type. A transaction that needs more than one lock takes them through `lock_all`.
pub async fn lock_identity(
    connection: &mut AsyncPgConnection,
    key: &GrantKey<'_>,
) -> QueryResult<()> {
    lock(connection, &identity(key)).await
}

/// Locks all of `names` in the one order.
pub(super) async fn lock_all(
    connection: &mut AsyncPgConnection,
    names: BTreeSet<String>,
) -> QueryResult<()> {
    for name in names {
        lock(connection, &name).await?;
    }
    Ok(())
}

/// Locks the identity of each of `grants`, and then their tokens, since equal tokens in rows of
/// other identities share what the provider revokes. Whoever holds these may count sharers.
pub(super) async fn lock_grants(
    connection: &mut AsyncPgConnection,
    grants: &[Grant],
) -> QueryResult<()> {
    let identities = grants.iter().map(|grant| identity(&grant.key()));
    lock_all(connection, identities.collect()).await?;
    let tokens = grants.iter().map(|grant| token(&grant.token_hash));
    lock_all(connection, tokens.collect()).await
}

/// A user's online grants at a provider.
pub(super) fn online_grants(user_id: Uuid, provider: &str) -> String {
    name('0', &[&user_id.to_string(), provider])
}

/// A provider's session, whatever the client.
pub(super) fn session(key: &GrantKey<'_>) -> String {
    name('1', &[key.provider, key.session_state_id])
}

/// A grant of either token type.
pub(super) fn identity(key: &GrantKey<'_>) -> String {
    name('2', &[key.provider, key.subject, key.client_id, key.session_state_id])
}

/// A token, wherever it stands.
pub(super) fn token(hash: &[u8]) -> String {
    name('3', &[&hex::encode(hash)])
}

/// Fields are preceded by their length, so that no two lists make one name.
fn name(kind: char, fields: &[&str]) -> String {
    let fields = fields.iter().map(|field| format!("/{}:{field}", field.len()));
    std::iter::once(kind.to_string()).chain(fields).collect()
}

async fn lock(connection: &mut AsyncPgConnection, name: &str) -> QueryResult<()> {
    #[derive(diesel::QueryableByName)]
    struct Locked {
        #[diesel(sql_type = BigInt)]
        #[expect(dead_code, reason = "void can't be read, so that a number is")]
        locked: i64,
    }
    let query = "SELECT 1::bigint AS locked FROM pg_advisory_xact_lock(hashtextextended($1, 0))";
    diesel::sql_query(query)
        .bind::<Text, _>(name)
        .get_result::<Locked>(connection)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_identities_share_a_name() {
        let key = |client_id, session_state_id| GrantKey {
            provider: "keycloak",
            subject: "s",
            client_id,
            session_state_id,
        };
        assert_ne!(identity(&key("ab", "c")), identity(&key("a", "bc")));
        assert_ne!(identity(&key("a/1:b", "c")), identity(&key("a", "1:b/c")));
    }

    #[test]
    fn users_come_before_sessions_before_identities_before_tokens() {
        let key = GrantKey { provider: "p", subject: "s", client_id: "c", session_state_id: "i" };
        let order =
            [online_grants(Uuid::max(), "zzz"), session(&key), identity(&key), token(&[0; 32])];
        assert!(order.is_sorted(), "{order:?}");
    }
}
