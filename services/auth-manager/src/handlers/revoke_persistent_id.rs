use actix_web::{delete, web};
use common::http::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Query, Success, parse_id};
use crate::callers::Person;
use crate::error::Error;
use crate::state::State;
use crate::vault;

/// Which id.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// One of the caller's.
    #[param(required = true, value_type = uuid::Uuid, example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11")]
    id: Option<String>,
}

/// How far it went.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedId {
    /// The provider revoked the grant behind the id.
    #[schema(example = true)]
    token_revoked: bool,
    /// The grant's session at the provider was ended too.
    #[schema(example = false)]
    session_revoked: bool,
    /// How many ids go on with what the provider would have revoked.
    #[schema(example = 0)]
    shared_with: usize,
    /// The provider has not heard of it yet; it will.
    #[schema(example = false)]
    pending: bool,
    /// Why: `revoked`, `shared_grant`, `shared_token`, `shared_session`, `consented_anew`, `over`,
    /// `in_use`, `provider_away` or `provider_refuses`.
    #[schema(example = "revoked")]
    reason: &'static str,
    /// The same for people.
    #[schema(example = "the last id is gone, and the provider revoked the grant")]
    message: &'static str,
}

/// Revoke an id
///
/// The id is gone at once. The grant is revoked at the provider only with its last id.
#[utoipa::path(tag = "offline use", params(Which), security(("bearer" = [])), responses(
    (status = 200, description = "The id is gone", body = Success<RevokedId>),
    (status = 400, description = "`validation_error`: no `id`, or not a UUID", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 404, description = "`token_not_found`: none of the caller's", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[delete("/api/auth/manager/offline-token-id")]
pub(crate) async fn revoke_persistent_id(
    state: web::Data<State>,
    person: Person,
    Query(which): Query<Which>,
) -> Result<web::Json<Success<RevokedId>>, Error> {
    let id = parse_id("id", which.id.as_deref())?;
    let revocation = vault::revoke_persistent_id(&state, person.user_id, id).await?;
    Ok(Success::json(RevokedId {
        token_revoked: revocation.token_revoked,
        session_revoked: revocation.session_revoked,
        shared_with: revocation.shared_with,
        pending: revocation.pending,
        reason: revocation.reason.as_str(),
        message: revocation.reason.sentence(),
    }))
}
