use actix_web::{delete, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use super::Success;
use crate::callers::Person;
use crate::error::Error;
use crate::sessions::end_all_by_user;
use crate::state::State;

/// What has ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ended {
    /// How many sessions.
    #[schema(example = 1)]
    sessions_ended: usize,
}

impl Ended {
    pub(super) fn new(sessions_ended: usize) -> Self {
        Self { sessions_ended }
    }
}

/// End all sessions of the caller, the one that asks included
///
/// Their online tokens are cleared here and revoked at the providers; offline grants go on.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, description = "They have ended", body = Success<Ended>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[delete("/api/auth/manager/sessions")]
pub(crate) async fn end_sessions(
    state: web::Data<State>,
    person: Person,
) -> Result<web::Json<Success<Ended>>, Error> {
    Ok(Success::json(Ended::new(end_all_by_user(&state, person.user_id).await?)))
}
