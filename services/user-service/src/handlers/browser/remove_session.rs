use actix_web::{HttpRequest, HttpResponse, delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::clear_cookies;
use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::error::Error;
use crate::handlers::Done;
use crate::models::auth_session::Which;
use crate::sessions::{Caller, EndReason, end_own, require_recent_login};
use crate::state::State;

/// End one of the caller's sessions
///
/// Where it is the caller's own, the cookies go as well; another one is ended only by who logged in
/// lately, as all of them are.
#[utoipa::path(tag = "browser", params(("session_id" = Uuid, Path, description = "From the list"),
    ("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "It has ended", body = Done),
    (status = 401, description = "`unauthorized` or `invalid_token`; `insufficient_user_authentication`: it is another one, log in again first", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's live ones", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/sessions/{session_id}")]
pub(crate) async fn remove_session(
    state: web::Data<State>,
    request: HttpRequest,
    caller: BrowserSession,
    client: Caller,
    SegmentPath(session_id): SegmentPath<Uuid>,
) -> Result<HttpResponse, Refusal> {
    let session_id = session_id.ok_or(Error::SessionNotFound)?;
    if session_id != caller.session_id {
        require_recent_login(&state, &caller, &client)?;
    }
    let which = Which::Family(session_id);
    if end_own(&state, &caller, &client, which, EndReason::SessionRemoved).await? == 0 {
        return Err(Error::SessionNotFound.into());
    }
    let mut answer = HttpResponse::Ok();
    if session_id == caller.session_id {
        clear_cookies(&state, &request, &mut answer);
    }
    Ok(answer.json(Done { message: "session ended" }))
}
