//! The extractors that stand before every handler of the cookie API.
//!
//! All check where the request came from; where it may change something, also that its page was
//! given a CSRF token for just this session. What they check first costs least.

use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use common::http::Problem;
use token_verifier::{NoToken, bearer_token};
use uuid::Uuid;

use super::Refusal;
use super::cookies::Kind;
use super::csrf_check::{check_csrf, check_session_csrf, refuse};
use super::received::ReceivedCookies;
use crate::error::Error;
use crate::sessions::{self, ApiKind, Authenticated};
use crate::state::State;

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

/// The caller of an endpoint that needs a session in cookies.
#[derive(Clone, Debug)]
pub struct BrowserSession(pub Authenticated);

impl Deref for BrowserSession {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl FromRequest for BrowserSession {
    type Error = Refusal;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |state, request| {
            let cookies = undoubted_cookies(state, request)?;
            let token = access_token(request, &cookies)?;
            let judging = sessions::authenticate(state, token, ApiKind::Cookie);
            let caller = state.in_time(judging).await?;
            if !is_ours(state, &cookies, caller.session_id) {
                tracing::warn!("foreign_access_cookie");
                return Err(Error::NotSignedIn { cookie_sent: true }.into());
            }
            check_session_csrf(state, request, &cookies, caller.session_id)?;
            Ok(Self(caller))
        })
    }
}

/// The caller of `refresh` and `logout`, who needs an authentic refresh token in its cookie and no
/// access token.
#[derive(Clone)]
pub struct RefreshCookie {
    /// The refresh token; its MAC holds, and nothing else of it has been looked at.
    pub token: String,
    /// Its family.
    pub family: Uuid,
    /// All cookies that came with it.
    pub cookies: ReceivedCookies,
}

common::hide!(RefreshCookie, PreSession);

impl FromRequest for RefreshCookie {
    type Error = Refusal;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |state, request| {
            let cookies = undoubted_cookies(state, request)?;
            let token = cookies.single(Kind::Refresh).ok_or(NONE)?;
            check_authorization(request, &cookies)?;
            let Some(family) = sessions::family_of(state, token) else {
                let doubtful = [(cookies.generation(), Kind::Refresh)];
                let clear = state.browser.cookies.clear_doubtful(&doubtful, request.path());
                return Err(Refusal::clearing(Error::InvalidRefreshToken, clear));
            };
            check_session_csrf(state, request, &cookies, family)?;
            Ok(Self { token: token.to_owned(), family, cookies })
        })
    }
}

/// The caller of an endpoint before login, who may be anybody.
#[derive(Clone)]
pub struct PreSession {
    /// The refresh token of the session that this browser had until now, if it has one.
    pub former: Option<String>,
    /// All cookies of the request.
    pub cookies: ReceivedCookies,
}

impl FromRequest for PreSession {
    type Error = Refusal;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |state, request| {
            let cookies = state.read_cookies(request.headers());
            check_authorization(request, &cookies)?;
            let subject = state.in_time(find_subject(state, &cookies)).await?;
            let checked = check_csrf(state, request, &cookies, subject.map(Subject::id));
            checked.map_err(|error| {
                // What another host planted for this path alone would be in the way for ever.
                let policy = &state.browser.cookies;
                let doubtful = cookies.doubtful();
                let clear = policy.with_planted(Vec::new(), &doubtful, request.path());
                Refusal::clearing(error, clear)
            })?;
            Ok(Self { former: cookies.single(Kind::Refresh).map(str::to_owned), cookies })
        })
    }
}

/// What `judge` makes of a request that comes from where it may.
fn extract<T: 'static>(
    request: &HttpRequest,
    judge: impl AsyncFnOnce(&State, &HttpRequest) -> Result<T, Refusal> + 'static,
) -> Extraction<T> {
    let request = request.clone();
    Box::pin(async move {
        let state = state_of(&request)?;
        let checked = state.browser.origins.check(request.method(), request.headers());
        checked.map_err(|reason| refuse(state, &request, reason))?;
        judge(state, &request).await
    })
}

/// What a CSRF token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A live session.
    Session(Uuid),
    /// What stands for one before login.
    PreSession(Uuid),
}

impl Subject {
    /// Its id.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Session(id) | Self::PreSession(id) => id,
        }
    }
}

/// What `csrf` and the endpoints before login bind a token to: the live session that the cookies
/// show, else the pre-session. Cookies in doubt are as none; of a refresh cookie and an access
/// cookie that name different sessions, the former is right.
pub async fn find_subject(
    state: &State,
    cookies: &ReceivedCookies,
) -> Result<Option<Subject>, Error> {
    if let Some(token) = cookies.single(Kind::Access)
        && let Ok(claims) = sessions::verify(state, token, ApiKind::Cookie).await?
        && is_ours(state, cookies, claims.sid)
    {
        return Ok(Some(Subject::Session(claims.sid)));
    }
    if let Some(token) = cookies.single(Kind::Refresh)
        && let Some(family) = sessions::find_live_family(state, token, ApiKind::Cookie).await?
    {
        return Ok(Some(Subject::Session(family)));
    }
    let pre_session = cookies.single(Kind::PreSession).and_then(|value| value.parse().ok());
    Ok(pre_session.map(Subject::PreSession))
}

/// Whether the access cookie of `session` is one that this host has set: where it has a domain, or
/// is an older one, other hosts of the domain may, but none the refresh cookie of the newer ones.
fn is_ours(state: &State, cookies: &ReceivedCookies, session: Uuid) -> bool {
    match cookies.single(Kind::Refresh) {
        Some(_) => !is_of_another(state, cookies, session),
        None => !state.browser.cookies.access_can_be_planted(cookies.generation()),
    }
}

/// Whether beside the access cookie of `session` there is a refresh cookie that is not.
pub fn is_of_another(state: &State, cookies: &ReceivedCookies, session: Uuid) -> bool {
    let refresh = cookies.single(Kind::Refresh);
    refresh.is_some_and(|token| sessions::family_of(state, token) != Some(session))
}

const NONE: Error = Error::NotSignedIn { cookie_sent: false };

/// The access token of the cookie, unless `Authorization` says something else.
pub fn access_token<'a>(
    request: &HttpRequest,
    cookies: &'a ReceivedCookies,
) -> Result<&'a str, Error> {
    let token = cookies.single(Kind::Access).ok_or(NONE)?;
    check_authorization(request, cookies)?;
    Ok(token)
}

/// `Authorization` is not there, or brings the access cookie's own token.
pub fn check_authorization(request: &HttpRequest, cookies: &ReceivedCookies) -> Result<(), Error> {
    match bearer_token(request.headers()) {
        Err(NoToken::Missing) => Ok(()),
        Ok(bearer) if cookies.single(Kind::Access) == Some(bearer) => Ok(()),
        Ok(_) | Err(NoToken::Malformed) => Err(Error::Request(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "`Authorization` and the cookie name different tokens; send one of them",
        ))),
    }
}

/// Our cookies, none of which is in doubt because it came twice.
pub fn undoubted_cookies(state: &State, request: &HttpRequest) -> Result<ReceivedCookies, Refusal> {
    let cookies = state.read_cookies(request.headers());
    if cookies.in_doubt() {
        tracing::warn!("duplicate_cookies");
        let clear = state.browser.cookies.clear_doubtful(&cookies.doubtful(), request.path());
        return Err(Refusal::clearing(Error::DuplicateCookies, clear));
    }
    Ok(cookies)
}

/// The service's state.
pub fn state_of(request: &HttpRequest) -> Result<&web::Data<State>, Error> {
    let state = request.app_data::<web::Data<State>>();
    state.ok_or_else(|| Error::Internal("no state in the app".to_owned()))
}

/// Refuses what a page alone may ask for to links and foreign pages.
pub fn check_page(state: &State, request: &HttpRequest) -> Result<(), Error> {
    let checked = state.browser.origins.check_page(request.method(), request.headers());
    checked.map_err(|reason| refuse(state, request, reason))
}
