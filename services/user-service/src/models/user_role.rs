//! `users.role`.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::schema::users;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What concerns itself.
    User,
    /// Change the roles of others, too.
    Admin,
}

impl Role {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// Which of `ids` are there, each with whether it is an admin's; locked in their order.
pub async fn lock(
    connection: &mut AsyncPgConnection,
    ids: [Uuid; 2],
) -> QueryResult<Vec<(Uuid, bool)>> {
    users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::role.eq(Role::Admin.as_str())))
        .order(users::id)
        .for_no_key_update()
        .load(connection)
        .await
}

/// Changes a role.
pub async fn update(connection: &mut AsyncPgConnection, id: Uuid, role: Role) -> QueryResult<bool> {
    let updated = diesel::update(users::table.find(id)).set(users::role.eq(role.as_str()));
    Ok(updated.execute(connection).await? == 1)
}
