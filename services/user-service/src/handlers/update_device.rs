use actix_web::{patch, web};
use common::http::{Body, ErrorBody, SegmentPath};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_text;
use super::list_devices::DeviceView;
use crate::error::Error;
use crate::sessions::{self, Authenticated, Caller, DeviceUpdate};
use crate::state::State;

/// What is to change; what is not given stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpdateDevice {
    /// Name the owner will know it by.
    #[schema(example = "Alice's phone")]
    device_name: Option<String>,
    /// Remember this device: its sessions live longer.
    trusted: Option<bool>,
    /// Needed to trust a device, unless the sign-in is recent.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

/// Rename or trust one of the caller's devices
///
/// A trusted device's session lives longer, at once and for logins to come; without the trust it
/// lives as long as any other.
#[utoipa::path(tag = "accounts", params(("device_id" = Uuid, Path, description = "From the list")),
    request_body = UpdateDevice, security(("bearer" = [])), responses(
    (status = 200, description = "The device as it is now", body = DeviceView),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 404, description = "`device_not_found`", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[patch("/api/auth/devices/{device_id}")]
pub(crate) async fn update_device(
    state: web::Data<State>,
    caller: Authenticated,
    client: Caller,
    SegmentPath(device_id): SegmentPath<Uuid>,
    Body(request): Body<UpdateDevice>,
) -> Result<web::Json<DeviceView>, Error> {
    let device_id = device_id.ok_or(Error::DeviceNotFound)?;
    check_text("device_name", request.device_name.as_deref(), 100)?;
    if request.trusted == Some(true) {
        let password = request.current_password.as_deref();
        sessions::require_recent_sign_in(&state, &caller, &client, password).await?;
    }
    let update = DeviceUpdate { name: request.device_name, trusted: request.trusted };
    let device = sessions::update_device(&state, &caller, &client, device_id, update).await?;
    Ok(web::Json(DeviceView::new(device, caller.device_id)))
}
