use actix_web::{HttpRequest, HttpResponse, get, web};
use common::http::ErrorBody;

use crate::browser::Refusal;
use crate::browser::guard::{access_token, is_of_another, undoubted_cookies};
use crate::error::Error;
use crate::sessions::{self, ApiKind};
use crate::state::State;

/// Ask whether the access cookie is good
///
/// For gateways in front of pages, by GET or HEAD: answered from memory. No CSRF check: nothing is
/// changed, and nobody but the asking page learns of the answer.
#[utoipa::path(tag = "browser", responses(
    (status = 204, description = "It is"),
    (status = 400, description = "`invalid_request`: `Authorization` names another token", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, `duplicate_cookies`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/verify-token")]
pub(crate) async fn verify_token(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let _timer = state.metrics.verify_duration.start_timer();
    let cookies = undoubted_cookies(&state, &request)?;
    let token = access_token(&request, &cookies)?;
    match state.in_time(sessions::verify(&state, token, ApiKind::Cookie)).await? {
        Ok(claims) if is_of_another(&state, &cookies, claims.sid) => {
            tracing::warn!("foreign_access_cookie");
            Err(Error::NotSignedIn { cookie_sent: true }.into())
        }
        Ok(_) => Ok(HttpResponse::NoContent().finish()),
        Err(reason) => {
            tracing::info!(reason, "token_refused");
            Err(Error::NotSignedIn { cookie_sent: true }.into())
        }
    }
}
