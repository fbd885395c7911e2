use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::Success;
use super::end_sessions::Ended;
use crate::callers::Person;
use crate::error::Error;
use crate::sessions::end_by_user;
use crate::state::State;

/// End one of the caller's sessions
///
/// Its online tokens are cleared here and revoked at the provider; offline grants go on.
#[utoipa::path(tag = "sessions", params(("id" = Uuid, Path, description = "From the list",
    example = "7c7bd0a4-52f5-4a86-a0a8-9a3c84a3c0de")),
    security(("bearer" = [])), responses(
    (status = 200, description = "It has ended", body = Success<Ended>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's live ones", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[delete("/api/auth/manager/sessions/{id}")]
pub(crate) async fn end_session(
    state: web::Data<State>,
    person: Person,
    SegmentPath(id): SegmentPath<Uuid>,
) -> Result<web::Json<Success<Ended>>, Error> {
    let id = id.ok_or(Error::SessionNotFound)?;
    if !end_by_user(&state, person.user_id, id).await? {
        return Err(Error::SessionNotFound);
    }
    Ok(Success::json(Ended::new(1)))
}
