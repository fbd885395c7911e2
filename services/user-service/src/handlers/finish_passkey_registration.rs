use actix_web::{HttpResponse, post, web};
use common::http::{ErrorBody, Problem};
use common::text::check_line;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::list_passkeys::PasskeyView;
use crate::error::Error;
use crate::passkeys;
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

/// What the browser made.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FinishPasskeyRegistration {
    /// Name the owner will know it by.
    #[schema(example = "my laptop")]
    name: String,
    /// The `PublicKeyCredential`, as its `toJSON()` writes it.
    #[schema(value_type = Object)]
    credential: Value,
    /// On the bearer API as good as a recent proof.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

impl Sensitive for FinishPasskeyRegistration {
    fn current_password(&self) -> Option<&str> {
        self.current_password.as_deref()
    }
}

/// Add the passkey
#[utoipa::path(tag = "step-up", request_body = FinishPasskeyRegistration, security(("bearer" = []), ("browser" = [])), responses(
    (status = 201, description = "Added", body = PasskeyView),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, `insufficient_user_authentication`, or `invalid_passkey`: it answers no open challenge of this session, or is of another origin, or did not verify its user", body = ErrorBody),
    (status = 404, description = "`passkeys_off`: the service has no domain", body = ErrorBody),
    (status = 409, description = "`passkey_exists`, `too_many_passkeys`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/webauthn/register/finish")]
pub(crate) async fn finish_passkey_registration(
    state: web::Data<State>,
    request: Proven<FinishPasskeyRegistration>,
) -> Result<HttpResponse, Error> {
    let Proven { caller, client, body, .. } = request;
    let FinishPasskeyRegistration { name, credential, .. } = body;
    check_line("name", &name, 100)?;
    if name.trim().is_empty() {
        return Err(Problem::invalid_field("name", "`name` must not be empty").into());
    }
    let added = passkeys::finish_registration(&state, &caller, &client, name, credential).await?;
    Ok(HttpResponse::Created().json(PasskeyView::from(added)))
}
