use actix_web::{HttpResponse, post, web};
use common::http::{Body, ErrorBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{clear_other, issue_csrf, known_browser, remember_browser, set_cookies};
use crate::browser::Refusal;
use crate::browser::cookies::Kind;
use crate::browser::generation::Generation;
use crate::browser::guard::PreSession;
use crate::captcha::check_browser_login;
use crate::handlers::log_in::EndedSession;
use crate::limits::Limit;
use crate::login::{self, Claim, check_password, find_user, judge, renew_hash};
use crate::models::user::{User, UserView};
use crate::sessions::{self, ApiKind, Caller, KnownBrowser, Login, Opened};
use crate::state::State;

/// A sign-in in a browser.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LogInBrowser {
    #[schema(example = "alice")]
    username: String,
    #[schema(example = "correct horse battery")]
    password: String,
    /// Where `captcha_required` has asked for one.
    captcha_token: Option<String>,
}

/// A session whose tokens are in cookies.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedInBrowser {
    session_id: Uuid,
    /// Seconds until a refresh is due.
    #[schema(example = 7200)]
    expires_in: i64,
    /// To be sent in `X-CSRF-Token`; good for this session and for nothing by itself.
    #[schema(example = "1.0c1bWd0Yk2l7yQb8J5c3f2m6v9n4x1z8aQwErTyUiOp")]
    csrf_token: String,
    user: UserView,
    /// Sessions that ended because one may have no more of them; none as a rule.
    ended_sessions: Vec<EndedSession>,
}

/// Log in in a browser
///
/// The session that the browser had until now ends. Any wrong part gives the same answer in the
/// same time.
#[utoipa::path(tag = "browser", request_body = LogInBrowser,
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "A session; its tokens are in cookies", body = LoggedInBrowser),
    (status = 400, description = "`invalid_request`: a field is missing or of the wrong type", body = ErrorBody),
    (status = 401, description = "`invalid_credentials`: any wrong part", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`; `captcha_required`, whose `details` name `provider`, `site_key` and `action`; `captcha_invalid`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address, and by username or browser", body = ErrorBody),
    (status = 503, description = "`busy`, `captcha_unavailable`, `signer_unavailable` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/login")]
pub(crate) async fn log_in_browser(
    state: web::Data<State>,
    page: PreSession,
    mut caller: Caller,
    Body(body): Body<LogInBrowser>,
) -> Result<HttpResponse, Refusal> {
    let known = known_browser(&state, &page.cookies);
    let claim = Claim {
        username: &body.username,
        caller: caller.clone(),
        device: None,
        api: ApiKind::Cookie,
    };
    let attempt = attempt(&state, &body, page.former.as_deref(), known, &mut caller);
    let (user, opened, browser) = judge(&state, &claim, Box::pin(attempt)).await?;
    let mut answer = HttpResponse::Ok();
    let (session_id, tokens) = (opened.session.id, &opened.tokens);
    let generation = state.generation_of(session_id, Generation::V4).await;
    let user_agent = caller.user_agent.as_deref();
    let csrf_token = issue_csrf(&state, generation, session_id, user_agent, None);
    set_cookies(&state, &mut answer, generation, tokens, &csrf_token);
    remember_browser(&state, &mut answer, generation, browser)?;
    clear_other(&state, &mut answer, generation, &page.cookies);
    answer.append_header(state.browser.cookies.clear(generation, Kind::PreSession));
    Ok(answer.json(LoggedInBrowser {
        session_id,
        expires_in: tokens.expires_in,
        csrf_token,
        user: user.view(),
        ended_sessions: EndedSession::list(opened.crowded_out),
    }))
}

async fn attempt(
    state: &State,
    request: &LogInBrowser,
    former: Option<&str>,
    known: Option<KnownBrowser>,
    caller: &mut Caller,
) -> Result<(User, Opened, KnownBrowser), login::Refused> {
    state.limiter.check(Limit::Login, caller.address.limit_key().into()).await?;
    let user = find_user(state, &request.username).await?;
    // Who fails for somebody elsewhere does not keep them out of a browser that was theirs.
    let now = state.clock.now();
    let theirs =
        known.filter(|known| user.as_ref().is_some_and(|user| known.is_known_to(user, now)));
    if let Some(browser) = theirs {
        state.limiter.check(Limit::DeviceLogin, browser.id.into()).await?;
    } else {
        let (name, captcha) = (&request.username, request.captcha_token.as_deref());
        check_browser_login(state, name, captcha, caller.address).await?;
    }
    let admission = state.hasher.admit(theirs.is_some())?;
    let (user, outdated) = check_password(state, admission, user, &request.password).await?;
    let browser = KnownBrowser::of(known, &user, now);
    caller.browser = Some(browser.id);
    let opened = open(state, &user, former, caller.clone()).await?;
    if outdated {
        renew_hash(state, &user, &request.password);
    }
    Ok((user, opened, browser))
}

/// The browser is a device from now on; the session that its cookie names makes way.
async fn open(
    state: &State,
    user: &User,
    former: Option<&str>,
    caller: Caller,
) -> Result<Opened, crate::Error> {
    let replaces = match former {
        Some(token) => sessions::find_named(state, token, ApiKind::Cookie).await?,
        None => None,
    };
    let user_agent = caller.user_agent.clone();
    let login = Login {
        user_id: user.id,
        password_version: user.password_version,
        device_id: Uuid::new_v4(),
        device_info: user_agent.as_deref(),
        caller,
        api: ApiKind::Cookie,
        replaces,
    };
    sessions::open(state, &login).await
}
