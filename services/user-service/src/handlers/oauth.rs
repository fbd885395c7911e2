//! What OAuth's own endpoints share: client authentication, forms, and errors as RFC 6749,
//! section 5.2 has them.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use common::http::{BodyKind, read_body};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::state::State;

/// The error body of OAuth's endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OauthErrorBody {
    /// A stable name for programs.
    #[schema(example = "invalid_client")]
    error: String,
    /// A sentence for people.
    #[schema(example = "the client is unknown or its secret is wrong")]
    error_description: String,
}

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

impl OauthError {
    fn invalid_request(status: StatusCode, description: &str) -> Self {
        Self::new(status, "invalid_request", description)
    }

    fn new(status: StatusCode, error: &'static str, description: &str) -> Self {
        Self { status, error, description: description.to_owned(), retry_after: None }
    }
}

impl From<Error> for OauthError {
    fn from(error: Error) -> Self {
        let problem = error.problem();
        let error = match problem.status {
            StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            _ => problem.code,
        };
        let retry_after = problem.retry_after.map(|after| after.as_secs().max(1));
        Self { retry_after, ..Self::new(problem.status, error, &problem.message) }
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.description)
    }
}

impl ResponseError for OauthError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(after) = self.retry_after {
            response.insert_header((RETRY_AFTER, after));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, r#"Basic realm="latchkey""#));
        }
        response.json(OauthErrorBody {
            error: self.error.to_owned(),
            error_description: self.description.clone(),
        })
    }
}

/// The configured client that asks; in a handler's signature it is the guard.
pub(crate) struct OauthClient(pub(crate) String);

impl FromRequest for OauthClient {
    type Error = OauthError;
    type Future = Ready<Result<Self, OauthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>();
        let client = state.and_then(|state| state.feed_clients.authenticate(request.headers()));
        ready(client.map(Self).ok_or_else(|| {
            let description = "authenticate as a configured client with HTTP Basic";
            OauthError::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
        }))
    }
}

/// The form of introspection and revocation.
#[derive(ToSchema)]
#[schema(as = TokenForm)]
pub(crate) struct TokenForm {
    /// An access or a refresh token.
    #[schema(example = "lkr_Ab3…")]
    pub(crate) token: String,
    /// Taken and ignored: tokens tell by themselves which kind they are of.
    #[schema(example = "access_token")]
    #[expect(dead_code, reason = "only documented")]
    token_type_hint: Option<String>,
}

common::hide!(TokenForm);

impl FromRequest for TokenForm {
    type Error = OauthError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, OauthError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read_body(request, payload, BodyKind::Form);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|problem| {
                // OAuth knows no other refusal of what is no form (RFC 6749, section 5.2).
                let status = match problem.status {
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
                    status => status,
                };
                OauthError::invalid_request(status, &problem.message)
            })?;
            parse(&bytes)
        })
    }
}

/// Parameters may come once (RFC 6749, section 3.2); those that are unknown are left alone.
fn parse(bytes: &[u8]) -> Result<TokenForm, OauthError> {
    let bad = |what| OauthError::invalid_request(StatusCode::BAD_REQUEST, what);
    let (mut token, mut token_type_hint) = (None, None);
    for (name, value) in form_urlencoded::parse(bytes) {
        let slot = match &*name {
            "token" => &mut token,
            "token_type_hint" => &mut token_type_hint,
            _ => continue,
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(bad("a parameter is given twice"));
        }
    }
    let token = token.filter(|token| !token.is_empty()).ok_or_else(|| bad("`token` is missing"))?;
    Ok(TokenForm { token, token_type_hint })
}
