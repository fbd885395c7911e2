use actix_web::{get, web};
use common::http::{ErrorBody, Query};
use common::paging::{Page, PageQuery};

use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::handlers::list_devices::{DeviceView, page_of};
use crate::state::State;

/// List own devices and browsers, newest first
#[utoipa::path(tag = "browser", params(PageQuery), security(("browser" = [])), responses(
    (status = 200, description = "A page of devices", body = Page<DeviceView>),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/devices")]
pub(crate) async fn list_devices(
    state: web::Data<State>,
    caller: BrowserSession,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<DeviceView>>, Refusal> {
    Ok(web::Json(page_of(&state, &caller, &page).await?))
}
