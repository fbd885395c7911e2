use actix_web::{delete, web};
use common::http::{Body, ErrorBody, SegmentPath};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Done;
use crate::error::Error;
use crate::sessions::{self, Authenticated, Caller};
use crate::state::State;

/// Proof that it is still the owner who asks.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct RemoveDevice {
    /// Needed to remove another device, unless the sign-in is recent.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

/// Remove one of the caller's devices
///
/// Its session ends at once and its id is no good any more.
#[utoipa::path(tag = "accounts", params(("device_id" = Uuid, Path, description = "From the list")),
    request_body = Option<RemoveDevice>, security(("bearer" = [])), responses(
    (status = 200, description = "It is gone", body = Done),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 404, description = "`device_not_found`", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[delete("/api/auth/devices/{device_id}")]
pub(crate) async fn remove_device(
    state: web::Data<State>,
    caller: Authenticated,
    client: Caller,
    SegmentPath(device_id): SegmentPath<Uuid>,
    Body(request): Body<Option<RemoveDevice>>,
) -> Result<web::Json<Done>, Error> {
    let device_id = device_id.ok_or(Error::DeviceNotFound)?;
    if device_id != caller.device_id {
        let password = request.unwrap_or_default().current_password;
        sessions::require_recent_sign_in(&state, &caller, &client, password.as_deref()).await?;
    }
    sessions::remove_device(&state, &caller, &client, device_id).await?;
    Ok(web::Json(Done { message: "device removed" }))
}
