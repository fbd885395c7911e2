use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Tokens;
use crate::devices;
use crate::error::Error;
use crate::sessions::{self, ApiKind, Caller};
use crate::state::State;

/// The newest refresh token of a session.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshSession {
    #[schema(example = "lkr_AQ…")]
    refresh_token: String,
    /// Once shown, it must be shown ever after.
    device_proof: Option<RefreshProof>,
}

/// That the device which logged in is the one that refreshes.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshProof {
    /// Unix milliseconds, as a string, within 5 minutes of the server's clock.
    #[schema(example = "1767225600000")]
    timestamp: String,
    /// 16 to 64 of `[A-Za-z0-9_-]`; an identical retry works.
    #[schema(example = "1f8b6d7c2e904a53")]
    nonce: String,
    /// Hex HMAC-SHA-256(device key, `refresh:<hex SHA-256 of the refresh token>:<timestamp>:<nonce>`).
    #[schema(example = "9f2c41d0a7b35e68c1f04d92b7a86e3350c9d1f2a4b6875e93c0d1e2f3a4b5c6")]
    signature: String,
}

impl RefreshProof {
    fn parts(&self) -> devices::RefreshProof<'_> {
        devices::RefreshProof {
            timestamp: &self.timestamp,
            nonce: &self.nonce,
            signature: &self.signature,
        }
    }
}

/// Exchange a refresh token for its successor and a fresh access token
///
/// The last token presented again gives the same successor: from the same device within the grace
/// window, or with a device proof for as long as the successor has not been used. Anything older
/// ends the session.
#[utoipa::path(tag = "sessions", request_body = RefreshSession, responses(
    (status = 200, description = "Fresh tokens", body = Tokens),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`invalid_refresh_token`: log in again; `invalid_device_proof`: the token is still good", body = ErrorBody),
    (status = 409, description = "`refresh_in_progress`: try again", body = ErrorBody),
    (status = 429, description = "`rate_limited`, rotations an hour by device", body = ErrorBody),
    (status = 503, description = "`database_unavailable`, `signer_unavailable`: the token is still good", body = ErrorBody),
))]
#[post("/api/auth/refresh")]
pub(crate) async fn refresh_session(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<RefreshSession>,
) -> Result<web::Json<Tokens>, Error> {
    let proof = request.device_proof.as_ref().map(RefreshProof::parts);
    let (token, api) = (&request.refresh_token, ApiKind::Bearer);
    let refresh = sessions::refresh(&state, token, proof.as_ref(), &caller, api);
    let tokens = state.in_time(refresh).await?;
    Ok(web::Json(tokens.into()))
}
