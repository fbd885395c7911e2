use actix_web::{HttpRequest, HttpResponse, post, web};
use common::http::ErrorBody;

use super::clear_cookies;
use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::handlers::log_out_everywhere::LoggedOutEverywhere;
use crate::models::auth_session::Which;
use crate::sessions::{Caller, EndReason, end_own};
use crate::state::State;

/// End all own sessions, in browsers and in apps
///
/// This one too, so that no recent proof of the person is asked for: who has stolen a session gains
/// nothing by it.
#[utoipa::path(tag = "browser",
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "All have ended, this one too, and its cookies are cleared", body = LoggedOutEverywhere),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/logout-all")]
pub(crate) async fn log_out_everywhere(
    state: web::Data<State>,
    request: HttpRequest,
    caller: BrowserSession,
    client: Caller,
) -> Result<HttpResponse, Refusal> {
    let ended = end_own(&state, &caller, &client, Which::All, EndReason::LogoutAll).await?;
    let mut answer = HttpResponse::Ok();
    clear_cookies(&state, &request, &mut answer);
    Ok(answer.json(LoggedOutEverywhere::new(ended)))
}
