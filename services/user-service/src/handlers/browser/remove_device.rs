use actix_web::{HttpRequest, HttpResponse, delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::clear_cookies;
use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::error::Error;
use crate::handlers::Done;
use crate::handlers::remove_device::RemoveDevice;
use crate::sessions;
use crate::state::State;
use crate::step_up::Proven;

/// Remove one of the caller's devices or browsers
///
/// Its session ends at once. Another one than the caller's needs a proof of the person that is
/// minutes old; with the caller's own, the cookies go as well.
#[utoipa::path(tag = "browser", params(("device_id" = Uuid, Path, description = "From the list"),
    ("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "It is gone", body = Done),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 404, description = "`device_not_found`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/devices/{device_id}")]
pub(crate) async fn remove_device(
    state: web::Data<State>,
    request: HttpRequest,
    SegmentPath(device_id): SegmentPath<Uuid>,
    proven: Proven<Option<RemoveDevice>, BrowserSession>,
) -> Result<HttpResponse, Refusal> {
    let (caller, device_id) = (proven.caller, device_id.ok_or(Error::DeviceNotFound)?);
    sessions::remove_device(&state, &caller, &proven.client, device_id).await?;
    let mut answer = HttpResponse::Ok();
    if device_id == caller.device_id {
        clear_cookies(&state, &request, &mut answer);
    }
    Ok(answer.json(Done { message: "device removed" }))
}
