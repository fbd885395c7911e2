use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list_passkeys::PasskeyView;
use crate::error::Error;
use crate::passwords::Password;
use crate::sessions::{self, Authenticated, Caller};
use crate::state::State;

/// The old password and the new.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangePassword {
    #[schema(example = "correct horse battery")]
    pub(super) current_password: String,
    /// 8 to 256 characters, not one that many people use.
    #[schema(example = "a longer horse battery")]
    pub(super) new_password: String,
}

/// What the change came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasswordChanged {
    #[schema(example = "password changed; every other session has ended")]
    message: &'static str,
    /// API keys that work no more.
    #[schema(example = 1)]
    api_keys_revoked: usize,
    /// Those that still prove the user: one that is unknown should be removed.
    passkeys: Vec<PasskeyView>,
}

impl From<sessions::PasswordChanged> for PasswordChanged {
    fn from(changed: sessions::PasswordChanged) -> Self {
        Self {
            message: "password changed; every other session has ended",
            api_keys_revoked: changed.api_keys_revoked,
            passkeys: changed.passkeys.into_iter().map(PasskeyView::from).collect(),
        }
    }
}

/// Change the password
///
/// Every other session of the caller ends, and all API keys; the answer lists the passkeys, which go
/// on.
#[utoipa::path(tag = "accounts", request_body = ChangePassword, security(("bearer" = [])), responses(
    (status = 200, description = "Changed; every other session has ended", body = PasswordChanged),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `invalid_credentials`: the current password is wrong", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/password")]
pub(crate) async fn change_password(
    state: web::Data<State>,
    caller: Authenticated,
    client: Caller,
    Body(request): Body<ChangePassword>,
) -> Result<web::Json<PasswordChanged>, Error> {
    let new = Password::parse(&request.new_password, "new_password")?;
    let current = &request.current_password;
    let changed = sessions::change_password(&state, &caller, &client, current, new).await?;
    Ok(web::Json(changed.into()))
}
