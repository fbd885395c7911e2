use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Done;
use crate::error::Error;
use crate::sessions::{self, Caller};
use crate::state::State;

/// Any refresh token of the session, superseded ones included.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LogOut {
    #[schema(example = "lkr_AQ…")]
    refresh_token: String,
}

/// Log out
///
/// The answer is the same whether or not the session was live.
#[utoipa::path(tag = "sessions", request_body = LogOut, responses(
    (status = 200, description = "The session, if there was one, has ended", body = Done),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/logout")]
pub(crate) async fn log_out(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<LogOut>,
) -> Result<web::Json<Done>, Error> {
    state.in_time(sessions::log_out(&state, &request.refresh_token, &caller)).await?;
    Ok(web::Json(Done { message: "logged out" }))
}
