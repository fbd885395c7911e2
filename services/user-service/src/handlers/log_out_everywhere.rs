use actix_web::{post, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::models::auth_session::Which;
use crate::sessions::{Authenticated, Caller, EndReason, end_own};
use crate::state::State;

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedOutEverywhere {
    #[schema(example = "logged out everywhere")]
    message: &'static str,
    /// This one included.
    #[schema(example = 3)]
    sessions_ended: usize,
}

impl LoggedOutEverywhere {
    pub(crate) fn new(sessions_ended: usize) -> Self {
        Self { message: "logged out everywhere", sessions_ended }
    }
}

/// End all own sessions
///
/// This one too, so that no recent proof of the person is asked for: who has stolen a session gains
/// nothing by it.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, description = "All have ended, this one too", body = LoggedOutEverywhere),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/logout-all")]
pub(crate) async fn log_out_everywhere(
    state: web::Data<State>,
    caller: Authenticated,
    client: Caller,
) -> Result<web::Json<LoggedOutEverywhere>, Error> {
    let sessions_ended =
        end_own(&state, &caller, &client, Which::All, EndReason::LogoutAll).await?;
    Ok(web::Json(LoggedOutEverywhere::new(sessions_ended)))
}
