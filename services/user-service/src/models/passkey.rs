//! `passkeys`: web authentication credentials that prove a user again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use crate::schema::passkeys;

/// A passkey.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = passkeys)]
pub struct StoredPasskey {
    /// What the API names it by.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The authenticator's name for it.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Public key, flags and policy.
    pub credential: Value,
    /// Signatures so far; 0 where the authenticator does not count.
    pub counter: i64,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last proved its owner.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Adds a passkey; false where the credential is somebody's already.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    passkey: &StoredPasskey,
) -> QueryResult<bool> {
    let inserted = diesel::insert_into(passkeys::table)
        .values(passkey)
        .on_conflict(passkeys::credential_id)
        .do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}

/// All passkeys of `user`, oldest first.
pub async fn list(
    connection: &mut AsyncPgConnection,
    user: Uuid,
) -> QueryResult<Vec<StoredPasskey>> {
    passkeys::table
        .filter(passkeys::user_id.eq(user))
        .select(StoredPasskey::as_select())
        .order((passkeys::created_at, passkeys::id))
        .load(connection)
        .await
}

/// A passkey of `user` by the authenticator's name for it, locked.
pub async fn lock(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    credential_id: &[u8],
) -> QueryResult<Option<StoredPasskey>> {
    passkeys::table
        .filter(passkeys::credential_id.eq(credential_id))
        .filter(passkeys::user_id.eq(user))
        .select(StoredPasskey::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Records a use.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    passkey: &StoredPasskey,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(passkeys::table.find(passkey.id))
        .set((
            passkeys::credential.eq(&passkey.credential),
            passkeys::counter.eq(passkey.counter),
            passkeys::last_used_at.eq(now),
        ))
        .execute(connection)
        .await
}

/// Removes a passkey of `user`; false where there is none.
pub async fn delete(connection: &mut AsyncPgConnection, user: Uuid, id: Uuid) -> QueryResult<bool> {
    let own = passkeys::table.find(id).filter(passkeys::user_id.eq(user));
    Ok(diesel::delete(own).execute(connection).await? == 1)
}
