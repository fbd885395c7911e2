use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Done;
use crate::error::Error;
use crate::sessions::Caller;
use crate::state::State;
use crate::step_up::{self, SignedIn};

/// Proof that it is still the same person.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Reauthenticate {
    #[schema(example = "correct horse battery")]
    current_password: String,
}

/// Prove again who you are, by password
///
/// Sensitive actions work for some minutes then; the next access token says so to other services.
/// Counts against the limits of logins.
#[utoipa::path(tag = "step-up", request_body = Reauthenticate, security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "Proven", body = Done),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `invalid_credentials`: the password is wrong", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/reauthenticate")]
pub(crate) async fn reauthenticate(
    state: web::Data<State>,
    caller: SignedIn,
    client: Caller,
    Body(request): Body<Reauthenticate>,
) -> Result<web::Json<Done>, Error> {
    step_up::by_password(&state, &caller, &client, &request.current_password).await?;
    Ok(web::Json(Done { message: "you have proven who you are" }))
}
