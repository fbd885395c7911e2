use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::issue_csrf;
use crate::browser::cookies::Kind;
use crate::browser::guard::{Subject, check_authorization, check_page, find_subject};
use crate::error::Error;
use crate::handlers::user_agent;
use crate::state::State;

/// How long a browser keeps what stands for a session before login.
const PRE_SESSION_LIFE: Duration = Duration::from_hours(24);
/// The day of its making and the day after.
const TOKEN_LIFE: Duration = Duration::from_hours(48);

/// What a page sends as `X-CSRF-Token` with every POST, PUT, PATCH and DELETE.
#[derive(Serialize, ToSchema)]
pub(crate) struct CsrfToken {
    /// Good today and tomorrow, for this session and this browser; the cookie that comes with it
    /// must be sent along.
    #[schema(example = "1.q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA")]
    csrf_token: String,
}

/// Get a CSRF token
///
/// Of the session in the cookies or, where there is none, of a pre-session that this makes. Get
/// one anew after a login, and after a 403 `csrf_invalid`.
#[utoipa::path(tag = "browser", responses(
    (status = 200, description = "The token", body = CsrfToken, headers(("set-cookie" = String))),
    (status = 400, description = "`invalid_request`: `Authorization` names another token", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: asked for by a link, or by a page that may not call", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/csrf")]
pub(crate) async fn show_csrf(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    check_page(&state, &request)?;
    let (browser, headers) = (&state.browser, request.headers());
    let cookies = state.read_cookies(headers);
    check_authorization(&request, &cookies)?;
    let subject = state.in_time(find_subject(&state, &cookies)).await?;
    let subject = subject.unwrap_or_else(|| Subject::PreSession(Uuid::new_v4()));
    let came = cookies.generation();
    let generation = match subject {
        // Its refresh moves a session from one generation to the other.
        Subject::Session(_) => came,
        Subject::PreSession(id) => state.generation_of(id, came).await,
    };
    let kept = cookies.single(Kind::Csrf).filter(|_| came == generation);
    let agent = user_agent(headers);
    let csrf_token = issue_csrf(&state, generation, subject.id(), agent.as_deref(), kept);
    let mut set = vec![browser.cookies.set(generation, Kind::Csrf, &csrf_token, TOKEN_LIFE)];
    if let Subject::PreSession(id) = subject {
        let id = id.to_string();
        let (kind, life) = (Kind::PreSession, PRE_SESSION_LIFE);
        set.push(browser.cookies.set(generation, kind, &id, life));
    }
    let mut answer = HttpResponse::Ok();
    for cookie in browser.cookies.with_planted(set, &cookies.doubtful(), request.path()) {
        answer.append_header(cookie);
    }
    Ok(answer.json(CsrfToken { csrf_token }))
}
