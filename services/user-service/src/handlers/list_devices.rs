use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, Query};
use common::paging::{Page, PageQuery, TimeAndId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::device::{self, Device};
use crate::sessions::Authenticated;
use crate::state::State;

/// A device of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceView {
    device_id: Uuid,
    #[schema(example = "my phone")]
    device_name: Option<String>,
    #[schema(example = "Pixel 9, Android 16")]
    device_info: Option<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    created_at: DateTime<Utc>,
    /// Last login on it.
    #[serde(serialize_with = "common::clock::serialize")]
    last_used_at: DateTime<Utc>,
    /// Whether its owner is remembered on it.
    trusted: bool,
    /// Whether it is the one asking.
    current: bool,
}

impl DeviceView {
    /// As the owner sees it from the device `current`.
    pub(super) fn new(device: Device, current: Uuid) -> Self {
        Self {
            device_id: device.id,
            device_name: device.device_name,
            device_info: device.device_info,
            created_at: device.created_at,
            last_used_at: device.last_used_at.unwrap_or(device.created_at),
            trusted: device.trusted,
            current: device.id == current,
        }
    }
}

/// List own devices, newest first
#[utoipa::path(tag = "accounts", params(PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of devices", body = Page<DeviceView>),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/auth/devices")]
pub(crate) async fn list_devices(
    state: web::Data<State>,
    caller: Authenticated,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<DeviceView>>, Error> {
    Ok(web::Json(page_of(&state, &caller, &page).await?))
}

/// A page of the caller's devices.
pub(super) async fn page_of(
    state: &State,
    caller: &Authenticated,
    page: &PageQuery,
) -> Result<Page<DeviceView>, Error> {
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let mut connection = state.pool.get().await?;
    let rows = device::list_by_user(&mut connection, caller.user_id, before, limit + 1).await?;
    let key = |device: &Device| TimeAndId(device.created_at, device.id);
    Ok(Page::from_rows(rows, limit, key, |device| DeviceView::new(device, caller.device_id)))
}
