use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Tokens;
use crate::error::Error;
use crate::sessions::{self, Caller};
use crate::state::State;

/// The newest refresh token of a session.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshSession {
    #[schema(example = "lkr_AQ…")]
    refresh_token: String,
}

/// Exchange a refresh token for its successor and a fresh access token
///
/// The last token presented again from the same device within the grace window gives the same
/// successor; anything older ends the session.
#[utoipa::path(tag = "sessions", request_body = RefreshSession, responses(
    (status = 200, description = "Fresh tokens", body = Tokens),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`invalid_refresh_token`: log in again", body = ErrorBody),
    (status = 409, description = "`refresh_in_progress`: try again", body = ErrorBody),
    (status = 429, description = "`rate_limited`, rotations an hour by device", body = ErrorBody),
    (status = 503, description = "`database_unavailable`: the token is still good", body = ErrorBody),
))]
#[post("/api/auth/refresh")]
pub(crate) async fn refresh_session(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<RefreshSession>,
) -> Result<web::Json<Tokens>, Error> {
    let tokens = sessions::refresh(&state, &request.refresh_token, &caller).await?;
    Ok(web::Json(tokens.into()))
}
