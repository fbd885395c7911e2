//! Roles as an operator gives them: the first admin is made so, since only admins make others.

use common::database::Database;
use diesel::result::Error as QueryError;
use diesel_async::AsyncConnection as _;
use serde_json::json;

use crate::audit::{self, Event, Kind};
use crate::models::user;
use crate::models::user_role::{self, Role};
use crate::passwords::Username;

/// Gives `role` to the account of that name, which it answers as its owner wrote it. For commands:
/// an error says what stands against it.
pub async fn set(database: &Database, username: &str, role: Role) -> Result<String, String> {
    let failed = |error: QueryError| format!("database: {error}");
    let nobody = || format!("there is no user `{}`", username.escape_debug());
    let name = Username::parse(username).map_err(|_| nobody())?;
    let mut connection = database
        .connect()
        .await
        .map_err(|error| format!("the database can't be reached: {error}"))?;
    let user = user::find_by_username_key(&mut connection, name.key()).await.map_err(failed)?;
    let user = user.ok_or_else(nobody)?;
    let details = json!({ "role": role.as_str(), "by": "operator" });
    let event = Event { user: Some(user.id), details, ..Event::new(Kind::RoleChanged) };
    let changed = connection
        .transaction(async |connection| {
            let changed = user_role::update(connection, user.id, role).await?;
            if changed {
                audit::record(connection, &event).await?;
            }
            Ok::<_, QueryError>(changed)
        })
        .await;
    if changed.map_err(failed)? { Ok(user.username) } else { Err(nobody()) }
}
