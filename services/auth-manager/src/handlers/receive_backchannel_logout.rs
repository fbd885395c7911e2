use actix_web::http::header;
use actix_web::{HttpResponse, post, web};
use common::http::{ErrorBody, Form};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Success;
use crate::error::Error;
use crate::sessions::hear;
use crate::state::State;

/// The form (OpenID Connect Back-Channel Logout 1.0, section 2.5).
#[derive(Deserialize, ToSchema)]
pub(crate) struct Logout {
    /// Signed by the provider.
    #[schema(required = true, value_type = String, example = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImxvZ291dCtqd3Qi…")]
    logout_token: Option<String>,
}

/// That it was heard.
#[derive(Serialize, ToSchema)]
pub(crate) struct Heard {
    #[schema(example = "logout heard")]
    message: &'static str,
}

/// Hear from a provider that somebody is signed out there
///
/// Ends the session, or all of the subject's where no session is named, and clears its online
/// tokens. Offline grants go on, unless the token asks for their end and the configuration heeds
/// it. A token is heard once.
#[utoipa::path(tag = "sign-in",
    request_body(content = Logout, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "It is done, or there was nothing to do", body = Success<Heard>),
    (status = 400, description = "`invalid_request`: no logout token, one that is not the provider's, or heard before", body = ErrorBody),
    (status = 413, description = "`payload_too_large`: bodies may have at most 65536 bytes", body = ErrorBody),
    (status = 415, description = "`unsupported_media_type`: not a form by its content type", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[post("/api/auth/manager/backchannel-logout")]
pub(crate) async fn receive_backchannel_logout(
    state: web::Data<State>,
    Form(form): Form<Logout>,
) -> Result<HttpResponse, Error> {
    let missing = || Error::LogoutRefused("a form with `logout_token` is needed".to_owned());
    hear(&state, &form.logout_token.ok_or_else(missing)?).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Success::json(Heard { message: "logout heard" }).0))
}
