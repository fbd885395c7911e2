use actix_web::{post, web};
use common::http::{Body, ClientAddress, ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Done;
use crate::error::Error;
use crate::passwords::Password;
use crate::sessions::{self, Authenticated};
use crate::state::State;

/// The old password and the new.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangePassword {
    #[schema(example = "correct horse battery")]
    current_password: String,
    /// 8 to 256 characters, not one that many people use.
    #[schema(example = "a longer horse battery")]
    new_password: String,
}

/// Change the password
///
/// Every other session of the caller ends.
#[utoipa::path(tag = "accounts", request_body = ChangePassword, security(("bearer" = [])), responses(
    (status = 200, description = "Changed; every other session has ended", body = Done),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `invalid_credentials`: the current password is wrong", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/password")]
pub(crate) async fn change_password(
    state: web::Data<State>,
    caller: Authenticated,
    address: ClientAddress,
    Body(request): Body<ChangePassword>,
) -> Result<web::Json<Done>, Error> {
    let new = Password::parse(&request.new_password, "new_password")?;
    sessions::change_password(&state, &caller, address, &request.current_password, new).await?;
    Ok(web::Json(Done { message: "password changed; every other session has ended" }))
}
