//! What can go wrong in chat-service, and what callers are told of it.
//!
//! Handlers parse into [`Problem`]s of their own (400, 413, 415); rooms and models return this.
//! Database errors become 503 where the database is away and 500 where we are wrong, and are
//! logged there, once.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use common::database::PoolError;
use common::http::Problem;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that does not parse or a condition that has its own words.
    #[error("{0}")]
    Request(Problem),
    /// No such room, or the caller is not in it.
    #[error("room not found")]
    RoomNotFound,
    /// The room has no such member, and none was invited.
    #[error("member not found")]
    MemberNotFound,
    /// An invitation for somebody who is in already.
    #[error("already a member")]
    AlreadyMember,
    /// Only the creator removes others.
    #[error("not the room's creator")]
    NotRoomCreator,
    /// A browser page that CORS would not admit either.
    #[error("origin not allowed")]
    OriginNotAllowed,
    /// A request that is no WebSocket handshake.
    #[error("websocket expected")]
    WebSocketExpected,
    /// As many live connections as one user may have.
    #[error("too many connections")]
    TooManyConnections,
    /// The database.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Request(problem)
    }
}

impl Error {
    /// The answer's parts; every variant is named, so that a new one can't be forgotten.
    fn problem(&self) -> Problem {
        match self {
            Self::Request(problem) => problem.clone(),
            Self::RoomNotFound => Problem::new(
                StatusCode::NOT_FOUND,
                "room_not_found",
                "there is no such room, or you are not in it",
            ),
            Self::MemberNotFound => Problem::new(
                StatusCode::NOT_FOUND,
                "member_not_found",
                "that user is neither in the room nor invited",
            ),
            Self::AlreadyMember => Problem::new(
                StatusCode::CONFLICT,
                "already_member",
                "that user is in the room already",
            ),
            Self::NotRoomCreator => Problem::new(
                StatusCode::FORBIDDEN,
                "not_room_creator",
                "only the room's creator may remove others",
            ),
            Self::OriginNotAllowed => Problem::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "pages of this origin may not connect; ask the operator to allow it",
            ),
            Self::WebSocketExpected => Problem::new(
                StatusCode::BAD_REQUEST,
                "websocket_expected",
                "this is a WebSocket endpoint; send an RFC 6455 handshake",
            ),
            Self::TooManyConnections => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_connections",
                "you have too many connections open; close one first",
            ),
            Self::Database(error) if common::database::is_unavailable(error) => {
                Problem::database_unavailable(error)
            }
            Self::Database(error) => Problem::internal(error),
            Self::Pool(error) => Problem::database_unavailable(error),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.problem().status
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
