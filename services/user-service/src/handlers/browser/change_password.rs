use actix_web::{HttpRequest, HttpResponse, post, web};
use common::http::{Body, ErrorBody};

use super::{known_browser, remember_browser};
use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::handlers::change_password::{ChangePassword, PasswordChanged};
use crate::passwords::Password;
use crate::sessions::{self, Caller, KnownBrowser};
use crate::state::State;
use crate::step_up::RecentlyAuthenticated;

/// Change the password
///
/// Needs the present password, and a proof of the person that is minutes old. Every other session
/// of the caller ends, and all API keys; the answer lists the passkeys, which go on. As after a
/// login, this browser is known to be the user's.
#[utoipa::path(tag = "browser", request_body = ChangePassword,
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "Changed; every other session has ended", body = PasswordChanged),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`; `insufficient_user_authentication`; `invalid_credentials`: the current password is wrong", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/password")]
pub(crate) async fn change_password(
    state: web::Data<State>,
    request: HttpRequest,
    caller: RecentlyAuthenticated<BrowserSession>,
    client: Caller,
    Body(body): Body<ChangePassword>,
) -> Result<HttpResponse, Refusal> {
    let new = Password::parse(&body.new_password, "new_password")?;
    let current = &body.current_password;
    let changed = sessions::change_password(&state, &caller, &client, current, new).await?;
    let cookies = state.read_cookies(request.headers());
    let known = known_browser(&state, &cookies);
    let browser = KnownBrowser::of(known, &changed.user, state.clock.now());
    let mut answer = HttpResponse::Ok();
    remember_browser(&state, &mut answer, cookies.generation(), browser)?;
    Ok(answer.json(PasswordChanged::from(changed)))
}
