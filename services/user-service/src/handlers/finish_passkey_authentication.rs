use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Done;
use crate::error::Error;
use crate::passkeys;
use crate::sessions::Caller;
use crate::state::State;
use crate::step_up::SignedIn;

/// What the browser answered.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FinishPasskeyAuthentication {
    /// The `PublicKeyCredential`, as its `toJSON()` writes it.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Prove again who you are, by passkey
///
/// Sensitive actions work for some minutes then; the next access token says so to other services.
#[utoipa::path(tag = "step-up", request_body = FinishPasskeyAuthentication, security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "Proven", body = Done),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `invalid_passkey`: it answers no open challenge of this session, or is of another origin or user, or did not verify its user, or its counter did not grow", body = ErrorBody),
    (status = 404, description = "`passkeys_off`: the service has no domain", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/webauthn/authenticate/finish")]
pub(crate) async fn finish_passkey_authentication(
    state: web::Data<State>,
    caller: SignedIn,
    client: Caller,
    Body(request): Body<FinishPasskeyAuthentication>,
) -> Result<web::Json<Done>, Error> {
    passkeys::finish_authentication(&state, &caller, &client, request.credential).await?;
    Ok(web::Json(Done { message: "you have proven who you are" }))
}
