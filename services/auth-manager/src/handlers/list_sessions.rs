use actix_web::{get, web};
use common::http::ErrorBody;
use common::paging::{Page, PageQuery, TimeAndId};
use uuid::Uuid;

use super::show_session::SessionView;
use super::{Query, Success};
use crate::callers::Person;
use crate::error::Error;
use crate::models::session_event;
use crate::models::user_session::{self, UserSession};
use crate::state::State;

/// Events shown of each; one session alone shows more.
const EVENTS: i64 = 5;

/// List own live sessions, newest first
#[utoipa::path(tag = "sessions", params(PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of sessions, each with its last events", body = Success<Page<SessionView>>),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/sessions")]
pub(crate) async fn list_sessions(
    state: web::Data<State>,
    person: Person,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Success<Page<SessionView>>>, Error> {
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let (mut connection, now) = (state.pool.get().await?, state.clock.now());
    let user = person.user_id;
    let rows = user_session::list_live(&mut connection, user, now, before, limit + 1).await?;
    let ids: Vec<Uuid> = rows.iter().map(|session| session.id).collect();
    let events = session_event::list_of_each(&mut connection, &ids, EVENTS).await?;
    let key = |session: &UserSession| TimeAndId(session.created_at, session.id);
    let view = |session| SessionView::new(session, &events, &person);
    Ok(Success::json(Page::from_rows(rows, limit, key, view)))
}
