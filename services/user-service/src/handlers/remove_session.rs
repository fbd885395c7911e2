use actix_web::{HttpRequest, delete, web};
use common::http::{ErrorBody, SegmentPath};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Done, path_names};
use crate::error::Error;
use crate::models::auth_session::Which;
use crate::sessions::{Authenticated, EndReason, end_own};
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

/// Proof that it is still the person who asks.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RemoveSession {
    /// Needed to end another session, unless the sign-in is recent.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

impl Sensitive for Option<RemoveSession> {
    fn current_password(&self) -> Option<&str> {
        self.as_ref()?.current_password.as_deref()
    }

    /// One's own needs no more than itself; all others could be ended one by one.
    fn needs_proof(&self, request: &HttpRequest, caller: &Authenticated) -> bool {
        !path_names(request, "session_id", caller.session_id)
    }
}

/// End one of the caller's sessions
///
/// The caller's own at any time; another one needs a sign-in that is minutes old, or the password.
#[utoipa::path(tag = "sessions", params(("session_id" = Uuid, Path, description = "From the list, or a token's `sid`")),
    request_body = Option<RemoveSession>, security(("bearer" = [])), responses(
    (status = 200, description = "It has ended", body = Done),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`: it is another one, send `current_password` or log in again first", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's live ones", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[delete("/api/auth/sessions/{session_id}")]
pub(crate) async fn remove_session(
    state: web::Data<State>,
    SegmentPath(session_id): SegmentPath<Uuid>,
    request: Proven<Option<RemoveSession>, Authenticated>,
) -> Result<web::Json<Done>, Error> {
    let session_id = session_id.ok_or(Error::SessionNotFound)?;
    end(&state, session_id, &request).await?;
    Ok(web::Json(Done { message: "session ended" }))
}

/// Ends a live session of the caller's.
pub(super) async fn end<G>(
    state: &State,
    session_id: Uuid,
    request: &Proven<Option<RemoveSession>, G>,
) -> Result<(), Error> {
    let Proven { caller, client, .. } = request;
    let (which, reason) = (Which::Family(session_id), EndReason::SessionRemoved);
    let ended = end_own(state, caller, client, which, reason).await?;
    if ended == 0 { Err(Error::SessionNotFound) } else { Ok(()) }
}
