//! `auth_vault`: how a new token comes into it.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::grant::{Grant, GrantState};
use crate::schema::{auth_vault, persistent_tokens};

/// A grant of `user` at `provider` that holds the same token and is good to draw on.
pub async fn find_duplicate(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    provider: &str,
    token_hash: &[u8],
) -> QueryResult<Option<Grant>> {
    use auth_vault::dsl;
    let good = [GrantState::Live.as_str(), GrantState::OutcomeUnknown.as_str()];
    dsl::auth_vault
        .select(Grant::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::provider.eq(provider))
        .filter(dsl::token_hash.eq(token_hash))
        .filter(dsl::state.eq_any(good))
        .order(dsl::created_at)
        .first(connection)
        .await
        .optional()
}

/// Stores a grant, or its token in the place of the one that its natural key has: then version and
/// lease start anew, so that whoever still presents the older token writes nothing. Answers the
/// row's id.
pub async fn upsert(connection: &mut AsyncPgConnection, grant: &Grant) -> QueryResult<Uuid> {
    use auth_vault::dsl;
    diesel::insert_into(dsl::auth_vault)
        .values(grant)
        .on_conflict((
            dsl::provider,
            dsl::subject,
            dsl::client_id,
            dsl::session_state_id,
            dsl::token_type,
        ))
        .do_update()
        .set((
            Owner::of(grant),
            Renewal::of(grant),
            dsl::consent_session_id.eq(sql::<Nullable<Text>>(
                "coalesce(excluded.consent_session_id, auth_vault.consent_session_id)",
            )),
            dsl::metadata.eq(sql::<Jsonb>("auth_vault.metadata || excluded.metadata")),
            dsl::version.eq(sql::<BigInt>(NEXT_VERSION)),
            dsl::lease_holder.eq(sql::<Nullable<SqlUuid>>(LEASE_HOLDER)),
            dsl::lease_until.eq(sql::<Nullable<Timestamptz>>(LEASE_UNTIL)),
            dsl::call_deadline.eq(sql::<Nullable<Timestamptz>>(CALL_DEADLINE)),
            dsl::updated_at.eq(excluded(dsl::updated_at)),
        ))
        .returning(dsl::id)
        .get_result(connection)
        .await
}

// The same token again is no other version of it.
const NEXT_VERSION: &str =
    "auth_vault.version + (auth_vault.token_hash <> excluded.token_hash)::int";
const LEASE_HOLDER: &str =
    "CASE WHEN auth_vault.token_hash = excluded.token_hash THEN auth_vault.lease_holder END";
const LEASE_UNTIL: &str =
    "CASE WHEN auth_vault.token_hash = excluded.token_hash THEN auth_vault.lease_until END";
const CALL_DEADLINE: &str =
    "CASE WHEN auth_vault.token_hash = excluded.token_hash THEN auth_vault.call_deadline END";

/// Removes ids that others than `user` hold on a grant which has become theirs.
pub async fn delete_foreign_ids(
    connection: &mut AsyncPgConnection,
    grant: Uuid,
    user: Uuid,
) -> QueryResult<usize> {
    use persistent_tokens::dsl;
    let foreign =
        dsl::persistent_tokens.filter(dsl::grant_id.eq(grant)).filter(dsl::user_id.ne(user));
    diesel::delete(foreign).execute(connection).await
}

/// Moves all ids of the grants `from` to the grant `to`.
pub async fn move_ids(
    connection: &mut AsyncPgConnection,
    from: &[Uuid],
    to: Uuid,
) -> QueryResult<usize> {
    use persistent_tokens::dsl;
    diesel::update(dsl::persistent_tokens.filter(dsl::grant_id.eq_any(from)))
        .set(dsl::grant_id.eq(to))
        .execute(connection)
        .await
}

#[derive(AsChangeset)]
#[diesel(table_name = auth_vault)]
struct Owner<'a> {
    user_id: Uuid,
    account_id: Option<Uuid>,
    scope: &'a str,
}

impl<'a> Owner<'a> {
    fn of(grant: &'a Grant) -> Self {
        Self { user_id: grant.user_id, account_id: grant.account_id, scope: &grant.scope }
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = auth_vault, treat_none_as_null = true)]
struct Renewal<'a> {
    encrypted_token: &'a [u8],
    sealing_key_id: &'a str,
    token_hash: &'a [u8],
    grant_expires_at: Option<DateTime<Utc>>,
    state: &'a str,
    dead_reason: Option<String>,
    presentations: i32,
}

impl<'a> Renewal<'a> {
    fn of(grant: &'a Grant) -> Self {
        Self {
            encrypted_token: &grant.encrypted_token,
            sealing_key_id: &grant.sealing_key_id,
            token_hash: &grant.token_hash,
            grant_expires_at: grant.grant_expires_at,
            state: &grant.state,
            dead_reason: None,
            presentations: grant.presentations,
        }
    }
}
