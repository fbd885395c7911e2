//! Roles as an operator gives them: the first admin is made so, since only admins make others.

use common::settings::Secret;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use crate::models::user;
use crate::models::user_role::{self, Role};
use crate::passwords::Username;

/// Gives `role` to the account of that name, which it answers as its owner wrote it. For commands:
/// an error says what stands against it.
pub async fn set(url: &Secret, username: &str, role: Role) -> Result<String, String> {
    let failed = |error: QueryError| format!("database: {error}");
    let nobody = || format!("there is no user `{}`", username.escape_debug());
    let name = Username::parse(username).map_err(|_| nobody())?;
    let mut connection = AsyncPgConnection::establish(url.expose())
        .await
        .map_err(|error| format!("`database.url`: {error}"))?;
    let user = user::find_by_username_key(&mut connection, name.key()).await.map_err(failed)?;
    let user = user.ok_or_else(nobody)?;
    if user_role::update(&mut connection, user.id, role).await.map_err(failed)? {
        Ok(user.username)
    } else {
        Err(nobody())
    }
}
