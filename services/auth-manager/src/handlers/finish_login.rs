use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use common::http::{ClientAddress, ErrorBody};
use common::text::shown;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::finish_offline_token::Callback;
use super::{Query, Success};
use crate::error::Error;
use crate::sessions::{self, Browser, SignedIn, Visitor, states::StateKind};
use crate::state::State;

/// Of a user agent, no more than this is kept.
const MAX_AGENT: usize = 256;

/// Somebody who has signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    #[schema(example = "5d0f6a3e-1b1c-4f5e-8f57-0c9f9a3f7d02")]
    user_id: Uuid,
    /// Our session, for `sessions/{id}`.
    #[schema(example = "7c7bd0a4-52f5-4a86-a0a8-9a3c84a3c0de")]
    session_id: Uuid,
    /// The provider's session.
    #[schema(example = "AkFqGdVbJDUKQTpS2dBCs3Ea")]
    session_state_id: String,
    /// Draws further access tokens while the session lasts; null where the provider gives no
    /// refresh token.
    #[schema(example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11")]
    persistent_token_id: Option<Uuid>,
    #[schema(example = "eyJhbGciOiJSUzI1NiIsInR5cCI6…")]
    access_token: String,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: i64,
}

impl LoggedIn {
    fn new(signed_in: SignedIn, now: DateTime<Utc>) -> Self {
        Self {
            user_id: signed_in.user_id,
            session_id: signed_in.session_id,
            session_state_id: signed_in.session_state_id,
            persistent_token_id: signed_in.persistent_token_id,
            access_token: signed_in.access_token.expose().to_owned(),
            expires_in: (signed_in.expires_at - now).num_seconds().max(0),
        }
    }
}

/// Take the browser back from the provider
///
/// Fills account, session and vault, for a sign-in as for a link.
#[utoipa::path(tag = "sign-in", params(Callback), responses(
    (status = 200, description = "Signed in, or linked", body = Success<LoggedIn>),
    (status = 302, description = "The same, where `return_to` was given: there", headers(("location" = String))),
    (status = 400, description = "`validation_error`: no code; `invalid_state_token`: bad, used, old or another browser's, or the account was unlinked meanwhile; `provider_error`: the provider's own error in `details`", body = ErrorBody),
    (status = 401, description = "`token_not_active`: the session ended meanwhile; sign in again", body = ErrorBody),
    (status = 409, description = "`account_taken`: linked to another user", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/callback")]
pub(crate) async fn finish_login(
    request: HttpRequest,
    state: web::Data<State>,
    address: ClientAddress,
    Query(callback): Query<Callback>,
) -> Result<HttpResponse, Error> {
    let returned = callback.parse()?;
    let browser = Browser::of(request.headers(), &state.settings);
    let redeemed = sessions::redeem(&state, returned.state, browser.value()).await?;
    let kind = if redeemed.kind == StateKind::Link { "link" } else { "sign_in" };
    let signed_in = sessions::finish(&state, redeemed, &returned, visitor(&request, address)).await;
    let outcome = if signed_in.is_ok() { "ok" } else { "failed" };
    state.metrics.callbacks.with_label_values(&[kind, outcome]).inc();
    let signed_in = signed_in?;
    tracing::info!(user_id = %signed_in.user_id, session_id = %signed_in.session_id, kind, "signed_in");
    // Tokens never go into a URL: whoever is sent back asks with the provider's own.
    if let Some(to) = signed_in.return_to {
        return Ok(HttpResponse::Found().insert_header((header::LOCATION, to)).finish());
    }
    let answer = LoggedIn::new(signed_in, state.clock.now());
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Success::json(answer).0))
}

fn visitor(request: &HttpRequest, address: ClientAddress) -> Visitor {
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.map(|agent| shown(agent.as_bytes(), MAX_AGENT));
    let address_range = address.range();
    let both = format!("{}\n{address_range}", agent.as_deref().unwrap_or_default());
    Visitor { fingerprint: hex::encode(Sha256::digest(both)), user_agent: agent, address_range }
}
