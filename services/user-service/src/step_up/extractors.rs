use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use common::http::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::browser::Refusal;
use crate::browser::cookies::Kind;
use crate::browser::guard::{BrowserSession, state_of};
use crate::error::Error;
use crate::sessions::{
    ApiKind, Authenticated, Caller, require_recent_login, require_recent_sign_in,
};

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

/// An extractor that lets in the callers of one API or of both.
pub trait Guard: FromRequest<Error: Into<Refusal>, Future: 'static> + 'static {
    /// Who calls.
    fn caller(self) -> Authenticated;
}

impl Guard for Authenticated {
    fn caller(self) -> Authenticated {
        self
    }
}

impl Guard for BrowserSession {
    fn caller(self) -> Authenticated {
        self.0
    }
}

impl Guard for SignedIn {
    fn caller(self) -> Authenticated {
        self.0
    }
}

/// The caller of an endpoint that both APIs have.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Authenticated);

impl Deref for SignedIn {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl FromRequest for SignedIn {
    type Error = Refusal;
    type Future = Extraction<Self>;

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
        cookies.in_doubt() || cookies.single(Kind::Access).is_some()
    })
}

/// A caller whom `G` lets in and who proved who they are within `limits.recent_sign_in`. The issuer
/// asks the session's own row, so that a proof counts at once, whatever the token says.
#[derive(Clone, Debug)]
pub struct RecentlyAuthenticated<G = SignedIn>(pub Authenticated, PhantomData<G>);

impl<G> Deref for RecentlyAuthenticated<G> {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl<G: Guard> FromRequest for RecentlyAuthenticated<G> {
    type Error = Refusal;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let caller = G::from_request(&request, payload);
        Box::pin(async move {
            let caller = caller.await.map_err(Into::into)?.caller();
            let client = Caller::extract(&request)
                .await
                .map_err(|error| Error::Internal(error.to_string()))?;
            require_recent_login(state_of(&request)?, &caller, &client)?;
            Ok(Self(caller, PhantomData))
        })
    }
}

/// A body that asks for what is sensitive.
pub trait Sensitive: DeserializeOwned + 'static {
    /// Its `current_password`.
    fn current_password(&self) -> Option<&str>;

    /// Whether just this request is sensitive.
    fn needs_proof(&self, _: &HttpRequest, _: &Authenticated) -> bool {
        true
    }
}

/// The body of a request that has nothing else to say.
#[derive(Deserialize, ToSchema)]
pub struct CurrentPassword {
    /// On the bearer API as good as a recent proof.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

impl Sensitive for Option<CurrentPassword> {
    fn current_password(&self) -> Option<&str> {
        self.as_ref()?.current_password.as_deref()
    }
}

/// A [`RecentlyAuthenticated`] caller with a body; on the bearer API the password in the body is
/// proof enough.
#[derive(Clone, Debug)]
pub struct Proven<T, G = SignedIn> {
    /// Who calls.
    pub caller: Authenticated,
    /// From where.
    pub client: Caller,
    /// What they ask for.
    pub body: T,
    guard: PhantomData<G>,
}

impl<T: Sensitive, G: Guard> FromRequest for Proven<T, G> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let caller = G::from_request(&request, payload);
        let body = Body::<T>::from_request(&request, payload);
        Box::pin(async move {
            let mut caller = caller.await.map_err(Into::<Refusal>::into)?.caller();
            let Body(body) = body.await?;
            let client = Caller::extract(&request).await?;
            if body.needs_proof(&request, &caller) {
                let password = body.current_password().filter(|_| caller.api == ApiKind::Bearer);
                let state = state_of(&request)?;
                require_recent_sign_in(state, &mut caller, &client, password).await?;
            }
            Ok(Self { caller, client, body, guard: PhantomData })
        })
    }
}
