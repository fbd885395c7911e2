use actix_web::{post, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Success;
use crate::callers::Person;
use crate::error::Error;
use crate::state::State;
use crate::vault::{self, Asker};

/// An id to draw access tokens by.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedId {
    /// It; keep it as you would keep a password.
    #[schema(example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11")]
    pub(super) persistent_token_id: Uuid,
    /// The grant's own session at the provider.
    #[schema(example = "AkFqGdVbJDUKQTpS2dBCs3Ea")]
    pub(super) session_state_id: String,
}

/// Make another id on this session's offline grant
#[utoipa::path(tag = "offline use", security(("bearer" = [])), responses(
    (status = 200, description = "Made", body = Success<IssuedId>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 404, description = "`token_not_found`: nothing is stored for this session", body = ErrorBody),
    (status = 409, description = "`consent_required`: there is an online grant only; `details.consent_url`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[post("/api/auth/manager/offline-token-id")]
pub(crate) async fn issue_persistent_id(
    state: web::Data<State>,
    person: Person,
) -> Result<web::Json<Success<IssuedId>>, Error> {
    let issued = vault::issue_persistent_id(&state, &Asker::from(&person)).await?;
    Ok(Success::json(IssuedId {
        persistent_token_id: issued.persistent_token_id,
        session_state_id: issued.session_state_id,
    }))
}
