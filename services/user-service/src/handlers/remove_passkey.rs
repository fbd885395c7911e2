use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use diesel_async::AsyncConnection as _;
use serde_json::json;
use uuid::Uuid;

use super::Done;
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::passkey;
use crate::sessions::Caller;
use crate::state::State;
use crate::step_up::RecentlyAuthenticated;

/// Remove one of the caller's passkeys
///
/// Needs a sign-in that is minutes old.
#[utoipa::path(tag = "step-up", params(("passkey_id" = Uuid, Path, description = "From the list")),
    security(("bearer" = [])), responses(
    (status = 200, description = "It proves nothing any more", body = Done),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 404, description = "`passkey_not_found`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/webauthn/credentials/{passkey_id}")]
pub(crate) async fn remove_passkey(
    state: web::Data<State>,
    caller: RecentlyAuthenticated,
    client: Caller,
    SegmentPath(passkey_id): SegmentPath<Uuid>,
) -> Result<web::Json<Done>, Error> {
    let passkey_id = passkey_id.ok_or(Error::PasskeyNotFound)?;
    let mut connection = state.pool.get().await?;
    let details = json!({ "passkey_id": passkey_id });
    let event = Event { details, ..caller.event(Kind::PasskeyRemoved, &client) };
    connection
        .transaction(async |connection| {
            if !passkey::delete(connection, caller.user_id, passkey_id).await? {
                return Err(Error::PasskeyNotFound);
            }
            Ok(audit::record(connection, &event).await?)
        })
        .await?;
    tracing::info!(user_id = %caller.user_id, %passkey_id, "passkey_removed");
    Ok(web::Json(Done { message: "passkey removed" }))
}
