//! `accounts`: who somebody is at a provider.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::grant::Grant;
use crate::schema::{accounts, auth_vault};

/// An account; (issuer, subject) owns it.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts)]
pub struct Account {
    /// The path id of accounts.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The person's subject there.
    pub subject: String,
    /// `token_type` of the last token answer.
    pub token_type: Option<String>,
    /// Scope of the last token answer.
    pub scope: Option<String>,
    /// The last id token, sealed.
    pub sealed_id_token: Option<Vec<u8>>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: Option<String>,
    /// When the access token last obtained expires.
    pub access_expires_at: Option<DateTime<Utc>>,
    /// When tokens were last obtained.
    pub last_refresh_at: Option<DateTime<Utc>>,
    /// First sign-in or linking.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// What a token answer says of an account; its refresh token goes to the vault.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = accounts)]
#[diesel(treat_none_as_null = true)]
pub struct AccountTokens {
    /// Usually `Bearer`.
    pub token_type: Option<String>,
    /// Granted scope.
    pub scope: Option<String>,
    /// The id token, sealed.
    pub sealed_id_token: Option<Vec<u8>>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: Option<String>,
    /// When the access token expires.
    pub access_expires_at: Option<DateTime<Utc>>,
    /// When the answer came.
    pub last_refresh_at: Option<DateTime<Utc>>,
}

/// Whether accounts are wanted whose last access token is expired at a time, or the others.
#[derive(Clone, Copy, Debug)]
pub struct Expired {
    /// The expired ones.
    pub wanted: bool,
    /// When.
    pub now: DateTime<Utc>,
}

impl Account {
    /// An account without tokens yet.
    #[must_use]
    pub fn new(
        user_id: Uuid,
        provider: &str,
        issuer: &str,
        subject: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            user_id,
            provider: provider.to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            token_type: None,
            scope: None,
            sealed_id_token: None,
            sealing_key_id: None,
            access_expires_at: None,
            last_refresh_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Links an account, or answers the one that is linked to the same user already; `None` where it
/// is another user's.
pub async fn upsert(
    connection: &mut AsyncPgConnection,
    account: &Account,
) -> QueryResult<Option<Account>> {
    use accounts::dsl;
    let linked = diesel::insert_into(accounts::table)
        .values(account)
        .on_conflict((dsl::issuer, dsl::subject))
        .do_update()
        .set((dsl::provider.eq(&account.provider), dsl::updated_at.eq(account.updated_at)));
    // On the conflict's update, where `filter` is a method of another trait.
    diesel::query_dsl::methods::FilterDsl::filter(linked, dsl::user_id.eq(account.user_id))
        .returning(Account::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// An account of `user`.
pub async fn find(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    id: Uuid,
) -> QueryResult<Option<Account>> {
    accounts::table
        .find(id)
        .filter(accounts::user_id.eq(user))
        .select(Account::as_select())
        .first(connection)
        .await
        .optional()
}

/// The account of a subject at an issuer.
pub async fn find_by_subject(
    connection: &mut AsyncPgConnection,
    issuer: &str,
    subject: &str,
) -> QueryResult<Option<Account>> {
    accounts::table
        .filter(accounts::issuer.eq(issuer))
        .filter(accounts::subject.eq(subject))
        .select(Account::as_select())
        .first(connection)
        .await
        .optional()
}

/// Accounts of `user`, newest first, those linked before `before`; only those whose last access
/// token is expired, or is not, where that is asked. One that never had any counts as expired.
pub async fn list(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    expired: Option<Expired>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<Account>> {
    use accounts::dsl;
    let mine = dsl::accounts.select(Account::as_select()).filter(dsl::user_id.eq(user));
    let mut mine = mine.order((dsl::created_at.desc(), dsl::id.desc())).limit(limit).into_boxed();
    if let Some(Expired { wanted, now }) = expired {
        let fresh = dsl::access_expires_at.is_not_null().and(dsl::access_expires_at.gt(now));
        mine = mine.filter(fresh.assume_not_null().ne(wanted));
    }
    if let Some((time, id)) = before {
        let older = dsl::created_at.lt(time);
        mine = mine.filter(older.or(dsl::created_at.eq(time).and(dsl::id.lt(id))));
    }
    mine.load(connection).await
}

/// Records a token answer; false where the account is gone.
pub async fn update_tokens(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    tokens: &AccountTokens,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let updated = diesel::update(accounts::table.find(id))
        .set((tokens, accounts::updated_at.eq(now)))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Records that an access token was obtained from a grant, for the account that it belongs to.
pub async fn note_refresh(
    connection: &mut AsyncPgConnection,
    grant: Uuid,
    access_expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let of_grant = auth_vault::table
        .find(grant)
        .filter(auth_vault::account_id.is_not_null())
        .select(auth_vault::account_id.assume_not_null());
    diesel::update(accounts::table.filter(accounts::id.eq_any(of_grant)))
        .set((
            accounts::access_expires_at.eq(access_expires_at),
            accounts::last_refresh_at.eq(now),
            accounts::updated_at.eq(now),
        ))
        .execute(connection)
        .await
}

/// The account's tokens: its grants, which stand in the vault and nowhere else.
pub async fn list_grants(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Vec<Grant>> {
    auth_vault::table
        .filter(auth_vault::account_id.eq(id))
        .order(auth_vault::id)
        .select(Grant::as_select())
        .load(connection)
        .await
}

/// Clears the tokens of those of `accounts` that nobody is signed in with any more; their grants
/// end by `vault::queue_revocations`. Says how many those are.
pub async fn clear_tokens(
    connection: &mut AsyncPgConnection,
    accounts: &[Uuid],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE accounts AS a SET sealed_id_token = NULL, sealing_key_id = NULL, updated_at = $2,
             access_expires_at = CASE WHEN EXISTS (
                 SELECT FROM auth_vault AS g
                 WHERE g.account_id = a.id AND g.state IN ('live', 'outcome_unknown')
                     AND (g.grant_expires_at IS NULL OR g.grant_expires_at > $2)
             ) THEN a.access_expires_at END
         WHERE a.id = ANY($1) AND NOT EXISTS (
             SELECT FROM user_sessions AS s WHERE s.account_id = a.id AND s.active
                 AND (s.expires_at IS NULL OR s.expires_at > $2))",
    )
    .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(accounts)
    .bind::<diesel::sql_types::Timestamptz, _>(now)
    .execute(connection)
    .await
}

/// Unlinks an account; false where `user` has none of that id.
pub async fn delete(connection: &mut AsyncPgConnection, user: Uuid, id: Uuid) -> QueryResult<bool> {
    let mine = accounts::table.find(id).filter(accounts::user_id.eq(user));
    Ok(diesel::delete(mine).execute(connection).await? == 1)
}

/// Locks the accounts of `user`, or `only` one of them, so that no session and no grant can refer to
/// them until the transaction is over: the provider and the subject of each.
pub async fn lock(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    only: Option<Uuid>,
) -> QueryResult<Vec<(String, String)>> {
    use accounts::dsl;
    let mine = dsl::accounts.filter(dsl::user_id.eq(user));
    let mine = mine.filter(dsl::id.nullable().eq(only).or(only.is_none().into_sql::<Bool>()));
    let locked = mine.select((dsl::provider, dsl::subject)).order(dsl::id).for_update();
    locked.load(connection).await
}

/// Unlinks all accounts of `user`.
pub async fn delete_by_user(connection: &mut AsyncPgConnection, user: Uuid) -> QueryResult<usize> {
    diesel::delete(accounts::table.filter(accounts::user_id.eq(user))).execute(connection).await
}
