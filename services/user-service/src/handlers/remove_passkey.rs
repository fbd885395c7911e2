use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use diesel_async::AsyncConnection as _;
use serde_json::json;
use uuid::Uuid;

use super::Done;
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::passkey;
use crate::state::State;
use crate::step_up::{CurrentPassword, Proven};

/// Remove one of the caller's passkeys
///
/// Needs a sign-in that is minutes old.
#[utoipa::path(tag = "step-up", params(("passkey_id" = Uuid, Path, description = "From the list")),
    request_body = Option<CurrentPassword>, security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "It proves nothing any more", body = Done),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 404, description = "`passkey_not_found`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/webauthn/credentials/{passkey_id}")]
pub(crate) async fn remove_passkey(
    state: web::Data<State>,
    SegmentPath(passkey_id): SegmentPath<Uuid>,
    request: Proven<Option<CurrentPassword>>,
) -> Result<web::Json<Done>, Error> {
    let passkey_id = passkey_id.ok_or(Error::PasskeyNotFound)?;
    let Proven { caller, client, .. } = request;
    let mut connection = state.pool.get().await?;
    let details = json!({ "passkey_id": passkey_id });
    let event = Event { details, ..caller.event(Kind::PasskeyRemoved, &client) };
    connection
        .transaction(async |connection| {
            caller.keep_proven(connection, &client, state.clock.now()).await?;
            if !passkey::delete(connection, caller.user_id, passkey_id).await? {
                return Err(Error::PasskeyNotFound);
            }
            Ok(audit::record(connection, &event).await?)
        })
        .await?;
    tracing::info!(session_id = %caller.session_id, %passkey_id, "passkey_removed");
    Ok(web::Json(Done { message: "passkey removed" }))
}
