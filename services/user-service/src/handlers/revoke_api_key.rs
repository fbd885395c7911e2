use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::Done;
use crate::api_keys;
use crate::audit::Kind;
use crate::error::Error;
use crate::sessions::Caller;
use crate::state::State;
use crate::step_up::SignedIn;

/// Revoke one of the caller's API keys
#[utoipa::path(tag = "step-up", params(("key_id" = Uuid, Path, description = "From the list")),
    security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "It works no more", body = Done),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`api_key_not_found`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/api-keys/{key_id}")]
pub(crate) async fn revoke_api_key(
    state: web::Data<State>,
    caller: SignedIn,
    client: Caller,
    SegmentPath(key_id): SegmentPath<Uuid>,
) -> Result<web::Json<Done>, Error> {
    let key_id = key_id.ok_or(Error::ApiKeyNotFound)?;
    let event = caller.event(Kind::ApiKeyRevoked, &client);
    if !api_keys::revoke(&state, caller.user_id, key_id, event).await? {
        return Err(Error::ApiKeyNotFound);
    }
    Ok(web::Json(Done { message: "API key revoked" }))
}
