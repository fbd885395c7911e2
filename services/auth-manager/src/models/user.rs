//! `users`: people as this service knows them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::users;

/// A person.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub struct User {
    /// `user_id` in every answer.
    pub id: Uuid,
    /// Subject at Keycloak that an older layout kept here.
    pub keycloak_id: Option<String>,
    /// First seen.
    pub created_at: DateTime<Utc>,
}

/// A new person.
pub async fn insert(connection: &mut AsyncPgConnection, user: &User) -> QueryResult<usize> {
    diesel::insert_into(users::table).values(user).execute(connection).await
}

/// A person by id.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<User>> {
    users::table.find(id).select(User::as_select()).first(connection).await.optional()
}

/// A person whom an older layout knew by the subject at Keycloak: by what it kept of it, else by
/// an id that is the subject itself.
pub async fn find_by_keycloak_id(
    connection: &mut AsyncPgConnection,
    subject: &str,
) -> QueryResult<Option<User>> {
    let kept = users::keycloak_id.eq(subject).assume_not_null();
    let itself =
        users::keycloak_id.is_null().and(users::id.nullable().eq(subject.parse::<Uuid>().ok()));
    users::table
        .filter(kept.or(itself.assume_not_null()))
        .order(users::keycloak_id.asc().nulls_last())
        .select(User::as_select())
        .first(connection)
        .await
        .optional()
}
