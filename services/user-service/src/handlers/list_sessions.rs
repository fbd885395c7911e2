use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, Query};
use common::paging::{Page, PageQuery, TimeAndId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::auth_session::{self, AuthSession};
use crate::sessions::Authenticated;
use crate::state::State;

/// A live session of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    session_id: Uuid,
    device_id: Uuid,
    #[schema(example = "my phone")]
    device_name: Option<String>,
    #[schema(example = "ExampleApp/2.1 (Android 16)")]
    user_agent: Option<String>,
    /// Where it was last seen, as a /24 or /48.
    #[schema(example = "192.0.2.0/24")]
    address_range: String,
    #[serde(serialize_with = "common::clock::serialize")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize")]
    last_seen_at: DateTime<Utc>,
    /// Whether it is the one asking.
    current: bool,
    /// The device key that signs its tokens; none where a service key does.
    #[schema(example = "75ba7398f46e4593b0416c60bbab835f")]
    kid: Option<String>,
}

/// List own live sessions, newest first
#[utoipa::path(tag = "sessions", params(PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of sessions", body = Page<SessionView>),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/auth/sessions")]
pub(crate) async fn list_sessions(
    state: web::Data<State>,
    caller: Authenticated,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<SessionView>>, Error> {
    let view = |session: AuthSession, device_name| SessionView {
        session_id: session.id,
        device_id: session.device_id,
        device_name,
        user_agent: session.user_agent,
        address_range: session.address_range,
        started_at: session.created_at,
        last_seen_at: session.last_seen_at,
        current: session.id == caller.session_id,
        kid: session.kid,
    };
    Ok(web::Json(list_page(&state, caller.user_id, &page, view).await?))
}

/// A page of `user`'s live sessions with their devices' names, each as `view` shows it.
pub(crate) async fn list_page<T>(
    state: &State,
    user: Uuid,
    page: &PageQuery,
    view: impl Fn(AuthSession, Option<String>) -> T,
) -> Result<Page<T>, Error> {
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let rows = auth_session::list_live(&mut connection, user, before, now, limit + 1).await?;
    let key = |(session, _): &(AuthSession, _)| TimeAndId(session.created_at, session.id);
    Ok(Page::from_rows(rows, limit, key, |(session, device)| view(session, device)))
}
