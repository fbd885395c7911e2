use actix_web::{HttpRequest, delete, web};
use common::http::{ErrorBody, SegmentPath};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Done, path_names};
use crate::error::Error;
use crate::sessions::{self, Authenticated};
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

/// Proof that it is still the owner who asks.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RemoveDevice {
    /// Needed to remove another device, unless the sign-in is recent.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

impl Sensitive for Option<RemoveDevice> {
    fn current_password(&self) -> Option<&str> {
        self.as_ref()?.current_password.as_deref()
    }

    /// One's own needs no more than the session.
    fn needs_proof(&self, request: &HttpRequest, caller: &Authenticated) -> bool {
        !path_names(request, "device_id", caller.device_id)
    }
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
    SegmentPath(device_id): SegmentPath<Uuid>,
    request: Proven<Option<RemoveDevice>, Authenticated>,
) -> Result<web::Json<Done>, Error> {
    let device_id = device_id.ok_or(Error::DeviceNotFound)?;
    sessions::remove_device(&state, &request.caller, &request.client, device_id).await?;
    Ok(web::Json(Done { message: "device removed" }))
}
