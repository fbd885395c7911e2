//! What can go wrong in auth-manager, and what callers are told of it.
//!
//! What is parsed arrives as [`Problem`] (400, 413, 415); rooms and models return this.
//! What a provider says arrives as [`Fault`] and is turned into one of these where it is known
//! what it means there: a dead grant, our own client misconfigured and a provider that is away
//! are three different things. Only `Internal` and the database are logged here, once.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use common::database::PoolError;
use common::http::Problem;
use serde_json::json;

use crate::providers::Fault;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that does not parse or a condition that has its own words.
    #[error("{0}")]
    Request(Problem),
    /// No access token, or none that this endpoint takes.
    #[error("unauthorized")]
    Unauthorized,
    /// The caller's token is not active, or the grant asked for is dead.
    #[error("token not active")]
    TokenNotActive,
    /// No such persistent id, grant or account that the caller may see.
    #[error("token not found")]
    TokenNotFound,
    /// No such session of the caller.
    #[error("session not found")]
    SessionNotFound,
    /// No such account of the caller.
    #[error("account not found")]
    AccountNotFound,
    /// The account at the provider belongs to another user.
    #[error("account linked to another user")]
    AccountTaken,
    /// A state that is bad, used, too old, another browser's or user's, or of an ended session.
    #[error("invalid state token")]
    InvalidStateToken,
    /// A logout token that is missing or not believed; why.
    #[error("{0}")]
    LogoutRefused(String),
    /// The user has to consent first; where.
    #[error("consent required")]
    ConsentRequired {
        /// The URL to follow, where one can be given.
        consent_url: Option<String>,
    },
    /// The provider answered the browser or us with an error of its own.
    #[error("provider error: {code}")]
    ProviderRefused {
        /// Its `error`, RFC 6749, section 4.1.2.1.
        code: String,
        /// Its `error_description`.
        description: Option<String>,
    },
    /// The provider does not accept us, or answered what we can't use: an operator must look.
    #[error("provider misconfigured")]
    ProviderMisconfigured,
    /// The provider is away; how long to leave it alone.
    #[error("provider unavailable")]
    ProviderUnavailable(Duration),
    /// The database.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// What should not happen.
    #[error("{0}")]
    Internal(String),
}

/// Bad input, which other services call `invalid_request`, has the name here that clients of the
/// older systems know.
impl From<Problem> for Error {
    fn from(mut problem: Problem) -> Self {
        if problem.code == "invalid_request" {
            problem.code = "validation_error";
        }
        Self::Request(problem)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::GrantDead { code, description } => {
                tracing::info!(code, description, "grant_dead");
                Self::TokenNotActive
            }
            Fault::Refused { code, description } => Self::ProviderRefused { code, description },
            Fault::Misconfigured(reason) => {
                tracing::error!(reason, "provider_misconfigured");
                Self::ProviderMisconfigured
            }
            Fault::Away { retry_after, .. } => Self::ProviderUnavailable(retry_after),
        }
    }
}

impl From<vault_crypto::OpenError> for Error {
    fn from(error: vault_crypto::OpenError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Error {
    /// The answer's parts; every variant is named, so that a new one can't be forgotten.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Request(problem) => problem.clone(),
            Self::Unauthorized => Problem::unauthorized(false),
            Self::TokenNotActive => Problem::new(
                StatusCode::UNAUTHORIZED,
                "token_not_active",
                "the token or its grant is expired or revoked; sign in or consent again",
            )
            .with_challenge(r#"Bearer error="invalid_token""#),
            Self::TokenNotFound => not_found("token_not_found", "there is no such token"),
            Self::SessionNotFound => not_found("session_not_found", "you have no such session"),
            Self::AccountNotFound => not_found("account_not_found", "you have no such account"),
            Self::AccountTaken => Problem::new(
                StatusCode::CONFLICT,
                "account_taken",
                "that account is linked to another user; unlink it there first",
            ),
            Self::InvalidStateToken => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_state_token",
                "the state is unknown, used, too old, another browser's or of an ended session; \
                 start again",
            ),
            // `invalid_request`: OpenID Connect Back-Channel Logout 1.0, section 2.8.
            Self::LogoutRefused(reason) => Problem::invalid_field("logout_token", reason.clone()),
            Self::ConsentRequired { consent_url } => Problem::new(
                StatusCode::CONFLICT,
                "consent_required",
                "the user must consent to offline use first",
            )
            .with_details(json!({ "consent_url": consent_url })),
            Self::ProviderRefused { code, description } => Problem::new(
                StatusCode::BAD_REQUEST,
                "provider_error",
                "the provider refused the request; see details",
            )
            .with_details(json!({ "error": code, "error_description": description })),
            Self::ProviderMisconfigured => Problem::new(
                StatusCode::BAD_GATEWAY,
                "provider_misconfigured",
                "the provider does not accept this service; an operator must look",
            ),
            Self::ProviderUnavailable(after) => Problem::unavailable(
                "provider_unavailable",
                "the provider can't be reached; try again later",
                *after,
            ),
            Self::Database(error) if common::database::is_unavailable(error) => {
                Problem::database_unavailable(error)
            }
            Self::Database(error) => Problem::internal(error),
            Self::Pool(error) => Problem::database_unavailable(error),
            Self::Internal(reason) => Problem::internal(reason),
        }
    }
}

fn not_found(code: &'static str, sentence: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code, sentence)
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.problem().status
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
