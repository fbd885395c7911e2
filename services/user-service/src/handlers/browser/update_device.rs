use actix_web::{patch, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::error::Error;
use crate::handlers::list_devices::DeviceView;
use crate::handlers::update_device::{UpdateDevice, change};
use crate::state::State;
use crate::step_up::Proven;

/// Rename or trust one of the caller's devices or browsers
///
/// Trusting one needs a proof of the person that is minutes old; `current_password` is none here.
#[utoipa::path(tag = "browser", params(("device_id" = Uuid, Path, description = "From the list"),
    ("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")),
    request_body = UpdateDevice, security(("browser" = [])), responses(
    (status = 200, description = "The device as it is now", body = DeviceView),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 404, description = "`device_not_found`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[patch("/api/v5/auth/devices/{device_id}")]
pub(crate) async fn update_device(
    state: web::Data<State>,
    SegmentPath(device_id): SegmentPath<Uuid>,
    request: Proven<UpdateDevice, BrowserSession>,
) -> Result<web::Json<DeviceView>, Refusal> {
    let device_id = device_id.ok_or(Error::DeviceNotFound)?;
    Ok(web::Json(change(&state, device_id, request).await?))
}
