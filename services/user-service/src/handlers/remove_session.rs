use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use uuid::Uuid;

use super::Done;
use crate::error::Error;
use crate::models::auth_session::Which;
use crate::sessions::{Authenticated, Caller, EndReason, end_own};
use crate::state::State;

/// End one of the caller's sessions
#[utoipa::path(tag = "sessions", params(("session_id" = Uuid, Path, description = "From the list, or a token's `sid`")),
    security(("bearer" = [])), responses(
    (status = 200, description = "It has ended", body = Done),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's live ones", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/auth/sessions/{session_id}")]
pub(crate) async fn remove_session(
    state: web::Data<State>,
    caller: Authenticated,
    client: Caller,
    SegmentPath(session_id): SegmentPath<Uuid>,
) -> Result<web::Json<Done>, Error> {
    let which = Which::Family(session_id.ok_or(Error::SessionNotFound)?);
    let ended = end_own(&state, &caller, &client, which, EndReason::SessionRemoved).await?;
    if ended == 0 {
        return Err(Error::SessionNotFound);
    }
    Ok(web::Json(Done { message: "session ended" }))
}
