use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Success;
use crate::callers::Person;

/// What a token is worth.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValidToken {
    /// Always true: one that is not active is a 401.
    #[schema(example = true)]
    active: bool,
    /// Whose it is.
    #[schema(example = "5d0f6a3e-1b1c-4f5e-8f57-0c9f9a3f7d02")]
    user_id: Uuid,
    /// When it expires.
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:04:05Z")]
    expires_at: DateTime<Utc>,
}

/// Check an access token of the login client
#[utoipa::path(tag = "sign-in", security(("bearer" = [])), responses(
    (status = 200, description = "It is active", body = Success<ValidToken>),
    (status = 401, description = "`unauthorized` without a token, `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/validate-token")]
pub(crate) async fn validate_token(person: Person) -> web::Json<Success<ValidToken>> {
    Success::json(ValidToken {
        active: true,
        user_id: person.user_id,
        expires_at: person.expires_at,
    })
}
