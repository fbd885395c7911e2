use actix_web::{delete, web};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use crate::browser::Refusal;
use crate::browser::guard::BrowserSession;
use crate::models::auth_session::Which;
use crate::sessions::{Caller, EndReason, end_own};
use crate::state::State;
use crate::step_up::RecentlyAuthenticated;

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct OthersEnded {
    #[schema(example = "all other sessions ended")]
    message: &'static str,
    #[schema(example = 2)]
    sessions_ended: usize,
}

/// End all of the caller's sessions but this one
#[utoipa::path(tag = "browser",
    params(("X-CSRF-Token" = String, Header, description = "From `GET /api/v5/auth/csrf`")), security(("browser" = [])), responses(
    (status = 200, description = "They have ended", body = OthersEnded),
    (status = 401, description = "`unauthorized` or `invalid_token`; `insufficient_user_authentication`: prove again who you are", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[delete("/api/v5/auth/sessions")]
pub(crate) async fn remove_sessions(
    state: web::Data<State>,
    caller: RecentlyAuthenticated<BrowserSession>,
    client: Caller,
) -> Result<web::Json<OthersEnded>, Refusal> {
    let which = Which::AllBut(caller.session_id);
    let sessions_ended =
        end_own(&state, &caller, &client, which, EndReason::SessionRemoved).await?;
    Ok(web::Json(OthersEnded { message: "all other sessions ended", sessions_ended }))
}
