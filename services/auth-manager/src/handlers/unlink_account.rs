use actix_web::{delete, web};
use common::http::{ErrorBody, SegmentPath};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Success;
use crate::callers::Person;
use crate::error::Error;
use crate::sessions::unlink;
use crate::state::State;

/// That it is done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Unlinked {
    /// For people.
    #[schema(example = "account unlinked")]
    message: &'static str,
}

/// Unlink an account
///
/// Its sessions end at once, and its grants are revoked at the provider, as soon as that answers.
#[utoipa::path(tag = "accounts", params(("id" = Uuid, Path, description = "From the list",
    example = "5d0f6a3e-1b1c-4f5e-8f57-0c9f9a3f7d02")),
    security(("bearer" = [])), responses(
    (status = 200, description = "It is unlinked", body = Success<Unlinked>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 404, description = "`account_not_found`: none of the caller's", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[delete("/api/auth/manager/accounts/{id}")]
pub(crate) async fn unlink_account(
    state: web::Data<State>,
    person: Person,
    SegmentPath(id): SegmentPath<Uuid>,
) -> Result<web::Json<Success<Unlinked>>, Error> {
    unlink(&state, person.user_id, id.ok_or(Error::AccountNotFound)?).await?;
    Ok(Success::json(Unlinked { message: "account unlinked" }))
}
