use actix_web::{HttpRequest, patch, web};
use common::http::{ErrorBody, SegmentPath};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_text;
use super::list_devices::DeviceView;
use crate::error::Error;
use crate::sessions::{self, Authenticated, DeviceUpdate};
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

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

impl Sensitive for UpdateDevice {
    fn current_password(&self) -> Option<&str> {
        self.current_password.as_deref()
    }

    fn needs_proof(&self, _: &HttpRequest, _: &Authenticated) -> bool {
        self.trusted == Some(true)
    }
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
    SegmentPath(device_id): SegmentPath<Uuid>,
    request: Proven<UpdateDevice, Authenticated>,
) -> Result<web::Json<DeviceView>, Error> {
    let device_id = device_id.ok_or(Error::DeviceNotFound)?;
    Ok(web::Json(change(&state, device_id, request).await?))
}

/// Changes what is to change, and answers the device as its owner sees it.
pub(super) async fn change<G>(
    state: &State,
    device_id: Uuid,
    request: Proven<UpdateDevice, G>,
) -> Result<DeviceView, Error> {
    let Proven { caller, client, body: UpdateDevice { device_name: name, trusted, .. }, .. } =
        request;
    check_text("device_name", name.as_deref(), 100)?;
    let update = DeviceUpdate { name, trusted };
    let device = sessions::update_device(state, &caller, &client, device_id, update).await?;
    Ok(DeviceView::new(device, caller.device_id))
}
