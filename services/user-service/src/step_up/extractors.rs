use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::browser::Refusal;
use crate::browser::cookies::Kind;
use crate::browser::guard::{BrowserSession, state_of};
use crate::error::Error;
use crate::sessions::{Authenticated, Caller, require_recent_login};

/// The caller of an endpoint that both APIs have.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Authenticated);

/// The same, who proved who they are within `limits.recent_sign_in`. The issuer asks the session's
/// own row, so that a proof counts at once, whatever the token says.
#[derive(Clone, Debug)]
pub struct RecentlyAuthenticated(pub Authenticated);

impl Deref for SignedIn {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl Deref for RecentlyAuthenticated {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl FromRequest for SignedIn {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    /// A cookie of ours makes it a browser's request, with all that is asked of one.
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if carries_cookies(request) {
            let browser = BrowserSession::from_request(request, payload);
            return Box::pin(
                async move { browser.await.map(|BrowserSession(caller)| Self(caller)) },
            );
        }
        let bearer = Authenticated::from_request(request, payload);
        Box::pin(async move { Ok(Self(bearer.await?)) })
    }
}

fn carries_cookies(request: &HttpRequest) -> bool {
    state_of(request).is_ok_and(|state| {
        let cookies = state.read_cookies(request.headers());
        !cookies.doubtful().is_empty() || cookies.single(Kind::Access).is_some()
    })
}

impl FromRequest for RecentlyAuthenticated {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let caller = SignedIn::from_request(&request, payload);
        Box::pin(async move {
            let SignedIn(caller) = caller.await?;
            let client = Caller::extract(&request)
                .await
                .map_err(|error| Error::Internal(error.to_string()))?;
            require_recent_login(state_of(&request)?, &caller, &client)?;
            Ok(Self(caller))
        })
    }
}
