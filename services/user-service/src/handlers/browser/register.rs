use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use common::http::{Body, ErrorBody};

use crate::browser::Refusal;
use crate::browser::guard::PreSession;
use crate::handlers::register_user::{RegisterUser, RegisteredUser, register};
use crate::sessions::Caller;
use crate::state::State;

/// Register an account from a browser
///
/// It signs nobody in.
#[utoipa::path(tag = "browser", request_body = RegisterUser,
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 201, description = "Registered", body = RegisteredUser),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`; `registration_closed`; `captcha_required`, whose `details` name `provider`, `site_key` and `action`; `captcha_invalid`", body = ErrorBody),
    (status = 409, description = "`username_taken`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address", body = ErrorBody),
    (status = 503, description = "`busy`, `captcha_unavailable` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/register")]
pub(crate) async fn register_in_browser(
    state: web::Data<State>,
    _: PreSession,
    caller: Caller,
    Body(request): Body<RegisterUser>,
) -> Result<HttpResponse, Refusal> {
    let registered = register(&state, &caller, request).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(registered))
}
