use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, Query};
use common::paging::{Page, PageQuery};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::devices::browser_name;
use crate::handlers::list_sessions::list_page;
use crate::models::auth_session::AuthSession;
use crate::state::State;

/// A live session of the caller, in a browser or in an app.
#[derive(Serialize, ToSchema)]
pub(crate) struct BrowserSessionView {
    session_id: Uuid,
    #[serde(serialize_with = "common::clock::serialize")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize")]
    last_active_at: DateTime<Utc>,
    device_id: Uuid,
    /// The name that its owner knows it by.
    #[schema(example = "Firefox on Linux")]
    device: Option<String>,
    /// What the user agent says it is, in short.
    #[schema(example = "Firefox on Linux")]
    browser: String,
    /// Where it was last active, as a /24 or /48: never a whole address.
    #[schema(example = "192.0.2.0/24")]
    place: String,
    /// `cookie` for a browser, `bearer` for an app.
    #[schema(example = "cookie")]
    api: String,
    /// Whether it is the one asking.
    current: bool,
}

impl BrowserSessionView {
    fn new(session: AuthSession, device: Option<String>, asking: Uuid) -> Self {
        Self {
            session_id: session.id,
            started_at: session.created_at,
            last_active_at: session.last_seen_at,
            device_id: session.device_id,
            device,
            browser: browser_name(session.user_agent.as_deref()),
            place: session.address_range,
            api: session.api,
            current: session.id == asking,
        }
    }
}

/// List own live sessions, newest first
#[utoipa::path(tag = "browser", params(PageQuery), security(("browser" = [])), responses(
    (status = 200, description = "A page of sessions", body = Page<BrowserSessionView>),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/sessions")]
pub(crate) async fn list_sessions(
    state: web::Data<State>,
    caller: BrowserSession,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<BrowserSessionView>>, Refusal> {
    let view = |session, device| BrowserSessionView::new(session, device, caller.session_id);
    Ok(web::Json(list_page(&state, caller.user_id, &page, view).await?))
}
