use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The one error body of every endpoint outside OAuth's own.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A sentence for people.
    #[schema(example = "there is nothing here; see /docs for what is")]
    pub error: String,
    /// A stable name for programs.
    #[schema(example = "not_found")]
    pub code: String,
    /// What else is known, such as the `field` that is wrong.
    pub details: Option<Value>,
    /// The operation that failed, its id in the OpenAPI document.
    #[schema(example = "unknown")]
    pub operation: String,
    /// Quote this when asking for help.
    #[schema(example = "8b0f5d0e-4d7f-4f0a-9a53-0d3c1c5f9e27")]
    pub request_id: String,
}

/// An error on its way to a caller; the context middleware makes an [`ErrorBody`] of it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// See [`ErrorBody::code`].
    pub code: &'static str,
    /// See [`ErrorBody::error`].
    pub message: Cow<'static, str>,
    /// See [`ErrorBody::details`].
    pub details: Option<Value>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// The challenge of a 401.
    pub challenge: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem with nothing but status, code and sentence.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, code, message, details: None, retry_after: None, challenge: None }
    }

    /// 400 `invalid_request`, with the field that is wrong in `details`.
    pub fn invalid_field(field: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
            .with_details(json!({ "field": field }))
    }

    /// 500 `internal`; what happened goes to the log, once, and never to the caller.
    pub fn internal(reason: &dyn fmt::Display) -> Self {
        tracing::error!(%reason, "internal_error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; try again, and quote the request id if it persists",
        )
    }

    /// 503 with Retry-After: the service can't answer now, and the caller did nothing wrong.
    pub fn unavailable(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(retry_after)
    }

    /// 503 `database_unavailable`.
    pub fn database_unavailable(reason: &dyn fmt::Display) -> Self {
        tracing::error!(%reason, "database_unavailable");
        Self::unavailable(
            "database_unavailable",
            "the database can't be reached; try again shortly",
            Duration::from_secs(1),
        )
    }

    /// 401 as RFC 6750, section 3 has it: `error="invalid_token"` only where a token was sent.
    #[must_use]
    pub fn unauthorized(token_sent: bool) -> Self {
        let mut problem = if token_sent {
            Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "the access token is invalid, expired or revoked; refresh it or log in again",
            )
        } else {
            Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send an access token as `Authorization: Bearer <token>`",
            )
        };
        problem.challenge =
            Some(if token_sent { r#"Bearer error="invalid_token""# } else { "Bearer" }.into());
        problem
    }

    /// The same with a challenge, `WWW-Authenticate`.
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl Into<Cow<'static, str>>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with Retry-After, rounded up to whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

/// What a database error means to a caller: a lost or slow database is not their fault and not
/// ours to explain.
impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        if crate::database::is_unavailable(&error) {
            Self::database_unavailable(&error)
        } else {
            Self::internal(&error)
        }
    }
}

impl From<crate::database::PoolError> for Problem {
    fn from(error: crate::database::PoolError) -> Self {
        Self::database_unavailable(&error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// The context middleware, which knows operation and request id, puts its own body in the
    /// place of this one; an app without it has this.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.insert_header((RETRY_AFTER, seconds.max(1)));
        }
        if let Some(challenge) = self.challenge.as_deref() {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        let mut response = response.json(ErrorBody {
            error: self.message.clone().into_owned(),
            code: self.code.to_owned(),
            details: self.details.clone(),
            operation: "unknown".to_owned(),
            request_id: "unknown".to_owned(),
        });
        response.extensions_mut().insert(self.clone());
        response
    }
}
