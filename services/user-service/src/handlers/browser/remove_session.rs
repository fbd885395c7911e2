use actix_web::{HttpRequest, HttpResponse, delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::clear_cookies;
use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::error::Error;
use crate::handlers::Done;
use crate::handlers::remove_session::{RemoveSession, end};
use crate::state::State;
use crate::step_up::Proven;

/// End one of the caller's sessions
///
/// Where it is the caller's own, the cookies go as well; another one needs a proof of the person that
/// is minutes old, as all of them together do.
#[utoipa::path(tag = "browser", params(("session_id" = Uuid, Path, description = "From the list"),
    ("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "It has ended", body = Done),
    (status = 401, description = "`unauthorized` or `invalid_token`; `insufficient_user_authentication`: it is another one, prove again who you are first", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's live ones", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/sessions/{session_id}")]
pub(crate) async fn remove_session(
    state: web::Data<State>,
    request: HttpRequest,
    SegmentPath(session_id): SegmentPath<Uuid>,
    proven: Proven<Option<RemoveSession>, BrowserSession>,
) -> Result<HttpResponse, Refusal> {
    let session_id = session_id.ok_or(Error::SessionNotFound)?;
    end(&state, session_id, &proven).await?;
    let mut answer = HttpResponse::Ok();
    if session_id == proven.caller.session_id {
        clear_cookies(&state, &request, &mut answer);
    }
    Ok(answer.json(Done { message: "session ended" }))
}
