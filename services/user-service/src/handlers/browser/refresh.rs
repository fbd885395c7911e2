use actix_web::{HttpResponse, post, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use super::{clear_other, issue_csrf, known_browser, remember_browser, set_cookies};
use crate::browser::Refusal;
use crate::browser::cookies::Kind;
use crate::browser::guard::RefreshCookie;
use crate::sessions::{self, ApiKind, Caller};
use crate::state::State;

/// A session whose tokens were exchanged in cookies.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refreshed {
    /// Seconds until the next refresh is due.
    #[schema(example = 7200)]
    expires_in: i64,
    /// To be sent in `X-CSRF-Token` from now on.
    #[schema(example = "1.0c1bWd0Yk2l7yQb8J5c3f2m6v9n4x1z8aQwErTyUiOp")]
    csrf_token: String,
}

/// Exchange the refresh cookie for its successor and a fresh access cookie
///
/// The last one presented again by the same browser within the grace window gives the same
/// successor; anything older ends the session. Cookies are left as they are where the refresh is
/// refused: a late answer must not take away those of a login since. A
/// page with several tabs refreshes and logs in under one lock: nothing else decides which of
/// two answers the browser receives last.
#[utoipa::path(tag = "browser",
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "Fresh tokens, in cookies", body = Refreshed),
    (status = 400, description = "`invalid_request`: `Authorization` names another token", body = ErrorBody),
    (status = 401, description = "`invalid_refresh_token`: log in again", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 409, description = "`refresh_in_progress`: try again", body = ErrorBody),
    (status = 429, description = "`rate_limited`, rotations an hour by browser", body = ErrorBody),
    (status = 503, description = "`database_unavailable`, `signer_unavailable`: the token is still good", body = ErrorBody),
))]
#[post("/api/v5/auth/refresh")]
pub(crate) async fn refresh_browser(
    state: web::Data<State>,
    cookie: RefreshCookie,
    mut caller: Caller,
) -> Result<HttpResponse, Refusal> {
    let RefreshCookie { family, cookies, .. } = &cookie;
    let browser = known_browser(&state, cookies);
    caller.browser = browser.map(|browser| browser.id);
    let refresh = sessions::refresh(&state, &cookie.token, None, &caller, ApiKind::Cookie);
    let refreshed = state.in_time(refresh).await;
    state.rollout.note_refresh(cookies.generation(), *family, &refreshed);
    let tokens = refreshed?;
    let mut answer = HttpResponse::Ok();
    let generation = state.generation_of(*family, cookies.generation()).await;
    let (user_agent, kept) = (caller.user_agent.as_deref(), cookies.single(Kind::Csrf));
    let kept = kept.filter(|_| cookies.generation() == generation);
    let csrf_token = issue_csrf(&state, generation, *family, user_agent, kept);
    set_cookies(&state, &mut answer, generation, &tokens, &csrf_token);
    if let Some(browser) = browser.filter(|_| cookies.has(generation.other(), Kind::Browser)) {
        remember_browser(&state, &mut answer, generation, browser)?;
    }
    clear_other(&state, &mut answer, generation, cookies);
    Ok(answer.json(Refreshed { expires_in: tokens.expires_in, csrf_token }))
}
