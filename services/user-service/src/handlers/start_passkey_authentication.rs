use actix_web::{post, web};
use common::http::ErrorBody;
use webauthn_rs::prelude::RequestChallengeResponse;

use crate::error::Error;
use crate::passkeys;
use crate::state::State;
use crate::step_up::SignedIn;

/// Begin to prove again who you are, by passkey
///
/// The challenge is good for five minutes, once, in this session.
#[utoipa::path(tag = "step-up", security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "Options for `navigator.credentials.get` (WebAuthn, section 5.5)", body = serde_json::Value),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`passkey_not_found`: the caller has none; `passkeys_off`: the service has no domain", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/webauthn/authenticate/start")]
pub(crate) async fn start_passkey_authentication(
    state: web::Data<State>,
    caller: SignedIn,
) -> Result<web::Json<RequestChallengeResponse>, Error> {
    Ok(web::Json(passkeys::start_authentication(&state, &caller).await?))
}
