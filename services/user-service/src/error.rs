//! What can go wrong in user-service, and what callers are told of it.
//!
//! Handlers parse into [`common::http::Problem`]s of their own (400, 413, 415); rooms and models
//! return this. Database errors become 503 where the database is away and 500 where we are
//! wrong, and are logged there, once.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use chrono::TimeDelta;
use common::database::PoolError;
use common::http::Problem;
use serde_json::json;

use crate::captcha::Challenge;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that does not parse or a condition that has its own words.
    #[error("{0}")]
    Request(Problem),
    /// Registration: the name is taken by another user.
    #[error("username taken")]
    UsernameTaken,
    /// Registration is switched off.
    #[error("registration closed")]
    RegistrationClosed,
    /// Login or a password check: any wrong part; which one is for log and metric alone.
    #[error("invalid credentials: {0}")]
    InvalidCredentials(&'static str),
    /// A CAPTCHA must be solved first.
    #[error("captcha required")]
    CaptchaRequired(Challenge),
    /// A CAPTCHA that buys nothing.
    #[error("invalid captcha")]
    CaptchaInvalid,
    /// The CAPTCHA's provider gives no verdict.
    #[error("captcha unavailable")]
    CaptchaUnavailable,
    /// Refresh: any token that buys nothing.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// Refresh: the device proof is wrong, or missing where one is due.
    #[error("invalid device proof")]
    InvalidDeviceProof,
    /// Refresh: others hold the family.
    #[error("refresh in progress")]
    RefreshInProgress,
    /// A limit; how long until it gives way.
    #[error("rate limited")]
    RateLimited(Duration),
    /// The password queue or another bounded room is full.
    #[error("busy")]
    Busy(Duration),
    /// No access token, or none that is good.
    #[error("unauthorized")]
    Unauthorized {
        /// Whether one was sent.
        token_sent: bool,
    },
    /// The cookie API: no access token in a cookie, or none that is good.
    #[error("not signed in")]
    NotSignedIn {
        /// Whether one was sent.
        cookie_sent: bool,
    },
    /// The cookie API: two cookies of one name, of which one was planted.
    #[error("two cookies of one name")]
    DuplicateCookies,
    /// The cookie API: the request may be another page's doing; why is for log and metric alone.
    #[error("csrf: {0}")]
    CsrfInvalid(&'static str),
    /// A sensitive action needs a proof of the person that is no older than this (RFC 9470).
    #[error("insufficient user authentication")]
    InsufficientUserAuthentication(TimeDelta),
    /// Revocation: the token was issued to another client, which can prove who it is.
    #[error("the token of another client")]
    ForeignClient,
    /// No such session of the caller.
    #[error("session not found")]
    SessionNotFound,
    /// No such device of the caller.
    #[error("device not found")]
    DeviceNotFound,
    /// No such API key of the caller.
    #[error("API key not found")]
    ApiKeyNotFound,
    /// No such passkey of the caller.
    #[error("passkey not found")]
    PasskeyNotFound,
    /// A passkey's answer that proves nothing; why is for the log alone.
    #[error("invalid passkey: {0}")]
    InvalidPasskey(String),
    /// No such account.
    #[error("user not found")]
    UserNotFound,
    /// No such published key.
    #[error("no such key")]
    NoSuchKey,
    /// The database.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The database does not answer in time.
    #[error("the database does not answer in time")]
    DatabaseSilent,
    /// The key that signs can't be reached or used now.
    #[error("the signer is away: {0}")]
    SignerUnavailable(String),
    /// What should not happen.
    #[error("{0}")]
    Internal(String),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Request(problem)
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
            Self::UsernameTaken => Problem::new(
                StatusCode::CONFLICT,
                "username_taken",
                "that username is taken; choose another",
            ),
            Self::RegistrationClosed => Problem::new(
                StatusCode::FORBIDDEN,
                "registration_closed",
                "registration is closed; ask the operator for an account",
            ),
            Self::InvalidCredentials(_) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "username, password or device proof is wrong",
            ),
            Self::CaptchaRequired(challenge) => captcha_required(challenge),
            Self::CaptchaInvalid => Problem::new(
                StatusCode::FORBIDDEN,
                "captcha_invalid",
                "the CAPTCHA was refused; it is good once, for one purpose and a short time",
            ),
            Self::CaptchaUnavailable => Problem::unavailable(
                "captcha_unavailable",
                "the CAPTCHA can't be checked now; try again shortly",
                Duration::from_secs(5),
            ),
            Self::InvalidRefreshToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_refresh_token",
                "the refresh token is invalid, expired or revoked; log in again",
            ),
            Self::InvalidDeviceProof => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_device_proof",
                "the device proof is missing or wrong; sign this token again and keep it",
            ),
            Self::RefreshInProgress => Problem::new(
                StatusCode::CONFLICT,
                "refresh_in_progress",
                "this session is being refreshed by another request; try again",
            )
            .with_retry_after(Duration::from_secs(1)),
            Self::RateLimited(after) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "too many requests; wait as long as Retry-After says",
            )
            .with_retry_after(*after),
            Self::Busy(after) => {
                Problem::unavailable("busy", "too much at once; try again shortly", *after)
            }
            Self::Unauthorized { token_sent } => Problem::unauthorized(*token_sent),
            Self::NotSignedIn { cookie_sent } => not_signed_in(*cookie_sent),
            Self::DuplicateCookies => Problem::new(
                StatusCode::UNAUTHORIZED,
                "duplicate_cookies",
                "two cookies of one name were sent; all of them are cleared, log in again",
            )
            .with_challenge("Bearer"),
            Self::CsrfInvalid(_) => Problem::new(
                StatusCode::FORBIDDEN,
                "csrf_invalid",
                "get a token from `/api/v5/auth/csrf` and send it as `X-CSRF-Token`, from a page \
                 that may call",
            ),
            Self::InsufficientUserAuthentication(max_age) => {
                token_verifier::insufficient_user_authentication(*max_age)
            }
            Self::ForeignClient => Problem::new(
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                "the token was issued to another client",
            ),
            Self::SessionNotFound => missing("session_not_found", "you have no such session"),
            Self::DeviceNotFound => missing("device_not_found", "you have no such device"),
            Self::ApiKeyNotFound => missing("api_key_not_found", "you have no such API key"),
            Self::PasskeyNotFound => missing("passkey_not_found", "you have no such passkey"),
            Self::InvalidPasskey(_) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_passkey",
                "the passkey's answer proves nothing; start again with a new challenge",
            ),
            Self::UserNotFound => missing("user_not_found", "there is no such user"),
            Self::NoSuchKey => missing("no_such_key", "no such key is published"),
            Self::Database(error) if common::database::is_unavailable(error) => {
                Problem::database_unavailable(error)
            }
            Self::Database(error) => Problem::internal(error),
            Self::Pool(error) => Problem::database_unavailable(error),
            Self::DatabaseSilent => Problem::database_unavailable(self),
            Self::SignerUnavailable(reason) => signer_unavailable(reason),
            Self::Internal(reason) => Problem::internal(reason),
        }
    }
}

fn missing(code: &'static str, message: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code, message)
}

/// Says what the client is to ask its user with.
fn captcha_required(challenge: &Challenge) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "captcha_required",
        "solve the CAPTCHA that `details` names and send its token as `captcha_token`",
    )
    .with_details(json!({
        "provider": challenge.provider,
        "site_key": challenge.site_key,
        "action": challenge.action.as_str(),
    }))
}

fn signer_unavailable(reason: &str) -> Problem {
    tracing::error!(reason, "signer_unavailable");
    let message = "tokens can't be signed right now; try again shortly";
    Problem::unavailable("signer_unavailable", message, Duration::from_secs(2))
}

/// A browser's 401: the codes are the bearer API's.
fn not_signed_in(cookie_sent: bool) -> Problem {
    let mut problem = Problem::unauthorized(cookie_sent);
    problem.message = "you are not signed in, or not any more; refresh or log in again".into();
    problem
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.problem().status
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
