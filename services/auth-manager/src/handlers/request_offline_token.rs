use actix_web::{get, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use super::Success;
use crate::callers::Person;
use crate::error::Error;
use crate::state::State;
use crate::vault::{Asker, request_consent};

/// Where to consent.
#[derive(Serialize, ToSchema)]
pub(crate) struct OfflineTokenRequest {
    /// To be opened in the user's browser.
    #[schema(example = "https://id.example.com/realms/latchkey/protocol/openid-connect/auth?…")]
    consent_url: String,
    /// The session that asks; the grant is found by it afterwards.
    #[schema(example = "AkFqGdVbJDUKQTpS2dBCs3Ea")]
    session_state_id: String,
    /// `state` in the URL: good once, for ten minutes.
    #[schema(example = "AZq3v0y5cU1kS2w…")]
    state_token: String,
    /// For people.
    #[schema(example = "open consent_url in a browser to let us act while you are away")]
    message: &'static str,
}

/// Ask for consent to offline use
///
/// The user follows `consent_url`, and the provider sends the browser back to
/// `offline-token/callback`.
#[utoipa::path(tag = "offline use", security(("bearer" = [])), responses(
    (status = 200, description = "Where to consent", body = Success<OfflineTokenRequest>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 409, description = "`offline_use_not_offered`: the provider has no client for it", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/offline-token")]
pub(crate) async fn request_offline_token(
    state: web::Data<State>,
    person: Person,
) -> Result<web::Json<Success<OfflineTokenRequest>>, Error> {
    let request = request_consent(&state, &Asker::from(&person)).await?;
    Ok(Success::json(OfflineTokenRequest {
        consent_url: request.consent_url,
        session_state_id: person.session_state_id,
        state_token: request.state_token,
        message: "open consent_url in a browser to let us act while you are away",
    }))
}
