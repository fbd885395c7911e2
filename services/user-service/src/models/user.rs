//! `users`: local accounts.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::schema::users;

/// An account.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub struct User {
    /// Subject of its tokens.
    pub id: Uuid,
    /// As chosen.
    pub username: String,
    /// Case-folded.
    pub username_key: String,
    /// PHC string.
    pub password_hash: String,
    /// Changes of the password so far, the first included.
    pub password_version: i32,
    /// Name shown to others.
    pub display_name: Option<String>,
    /// As given.
    pub phone_number: Option<String>,
    /// As given.
    pub email: Option<String>,
    /// Picture shown to others.
    pub avatar_url: Option<String>,
    /// Registration.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
    /// Last successful login; none for a new user.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// What clients are shown of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    /// The token's `user_id`.
    pub user_id: Uuid,
    /// As chosen.
    #[schema(example = "alice")]
    pub username: String,
    /// As given at registration.
    #[schema(example = "+44 20 7946 0000")]
    pub phone_number: Option<String>,
    /// Name shown to others.
    #[schema(example = "Alice")]
    pub display_name: Option<String>,
    /// Picture shown to others.
    #[schema(example = "https://pictures.example/alice.png")]
    pub avatar_url: Option<String>,
    /// Whether this user had never signed in before.
    pub is_new_user: bool,
}

impl User {
    /// What clients are shown.
    #[must_use]
    pub fn view(&self) -> UserView {
        UserView {
            user_id: self.id,
            username: self.username.clone(),
            phone_number: self.phone_number.clone(),
            display_name: self.display_name.clone(),
            avatar_url: self.avatar_url.clone(),
            is_new_user: self.last_login_at.is_none(),
        }
    }
}

/// Registers an account; false where the name is taken.
pub async fn insert(connection: &mut AsyncPgConnection, user: &User) -> QueryResult<bool> {
    let inserted = diesel::insert_into(users::table)
        .values(user)
        .on_conflict(users::username_key)
        .do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}

/// An account by its case-folded name.
pub async fn find_by_username_key(
    connection: &mut AsyncPgConnection,
    key: &str,
) -> QueryResult<Option<User>> {
    users::table
        .filter(users::username_key.eq(key))
        .select(User::as_select())
        .first(connection)
        .await
        .optional()
}

/// An account by its id.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<User>> {
    users::table.find(id).select(User::as_select()).first(connection).await.optional()
}

/// Locks an account, as a change of its password does: what is written under this lock is seen by
/// that change, or comes after it.
pub async fn lock(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<usize> {
    users::table.find(id).select(users::id).for_no_key_update().execute(connection).await
}

/// The version of a password; `None` where the account is gone.
pub async fn find_password_version(
    connection: &mut AsyncPgConnection,
    id: Uuid,
) -> QueryResult<Option<i32>> {
    users::table.find(id).select(users::password_version).first(connection).await.optional()
}

/// Stores a changed password's hash, unless the password has changed since `version`.
pub async fn change_password(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    version: i32,
    hash: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let unchanged = users::table.find(id).filter(users::password_version.eq(version));
    let updated = diesel::update(unchanged)
        .set((
            users::password_hash.eq(hash),
            users::password_version.eq(version + 1),
            users::updated_at.eq(now),
        ))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Stores a renewed hash of the same password, unless somebody else has stored one since.
pub async fn renew_password_hash(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    former: &str,
    hash: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let unchanged = users::table.find(id).filter(users::password_hash.eq(former));
    let updated = diesel::update(unchanged)
        .set((users::password_hash.eq(hash), users::updated_at.eq(now)))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Records a successful login.
pub async fn touch_login(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let touch = diesel::update(users::table.find(id)).set(users::last_login_at.eq(now));
    prepared(touch).execute(connection).await
}
