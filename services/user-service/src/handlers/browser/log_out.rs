use actix_web::{HttpRequest, HttpResponse, post, web};
use common::http::ErrorBody;

use super::clear_cookies;
use crate::browser::Refusal;
use crate::browser::guard::RefreshCookie;
use crate::handlers::Done;
use crate::sessions::{self, Caller};
use crate::state::State;

/// Log out of a browser
///
/// With any refresh cookie of the session, superseded ones included: the answer is the same
/// whether or not the session was live.
#[utoipa::path(tag = "browser",
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "The session has ended, and its cookies are cleared", body = Done),
    (status = 400, description = "`invalid_request`: `Authorization` names another token", body = ErrorBody),
    (status = 401, description = "`unauthorized`: there is no refresh cookie; `duplicate_cookies`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/logout")]
pub(crate) async fn log_out_of_browser(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    cookie: RefreshCookie,
) -> Result<HttpResponse, Refusal> {
    state.in_time(sessions::log_out(&state, &cookie.token, &caller)).await?;
    let mut answer = HttpResponse::Ok();
    clear_cookies(&state, &request, &mut answer);
    Ok(answer.json(Done { message: "logged out" }))
}
