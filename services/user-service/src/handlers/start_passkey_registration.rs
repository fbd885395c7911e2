use actix_web::{post, web};
use common::http::ErrorBody;
use webauthn_rs::prelude::CreationChallengeResponse;

use crate::error::Error;
use crate::passkeys;
use crate::state::State;
use crate::step_up::{CurrentPassword, Proven};

/// Begin to add a passkey
///
/// The challenge is good for five minutes, once, in this session. Needs a sign-in that is minutes
/// old.
#[utoipa::path(tag = "step-up", request_body = Option<CurrentPassword>, security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "Options for `navigator.credentials.create` (WebAuthn, section 5.4)", body = serde_json::Value),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 404, description = "`passkeys_off`: the service has no domain", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/webauthn/register/start")]
pub(crate) async fn start_passkey_registration(
    state: web::Data<State>,
    request: Proven<Option<CurrentPassword>>,
) -> Result<web::Json<CreationChallengeResponse>, Error> {
    let Proven { caller, client, .. } = request;
    Ok(web::Json(passkeys::start_registration(&state, &caller, &client).await?))
}
