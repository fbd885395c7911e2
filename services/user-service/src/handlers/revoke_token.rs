use actix_web::{HttpResponse, post, web};

use super::oauth::{OauthClient, OauthError, OauthErrorBody, TokenForm};
use crate::api_keys;
use crate::error::Error;
use crate::sessions;
use crate::state::State;

/// Revoke a token
///
/// RFC 7009. An API key ends, too, as one that was found where it should not be. A refresh token, superseded or not, ends its session and all its tokens; an access
/// token ends alone. A token that is unknown or good for nothing is no error.
#[utoipa::path(tag = "oauth", security(("client" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "Good for nothing now"),
    (status = 400, description = "`invalid_request`; `unauthorized_client`: it was issued to another client that can prove who it is", body = OauthErrorBody),
    (status = 401, description = "`invalid_client`", body = OauthErrorBody),
    (status = 503, description = "`temporarily_unavailable`: it still exists", body = OauthErrorBody),
))]
#[post("/api/auth/revoke")]
pub(crate) async fn revoke_token(
    state: web::Data<State>,
    client: OauthClient,
    form: TokenForm,
) -> Result<HttpResponse, OauthError> {
    let kind = state.in_time(revoke(&state, &client.0, &form.token)).await?;
    state.metrics.revocations.with_label_values(&[kind]).inc();
    tracing::info!(client = client.0, kind, "token_revoked");
    Ok(HttpResponse::Ok().finish())
}

async fn revoke(state: &State, client: &str, token: &str) -> Result<&'static str, Error> {
    if api_keys::revoke_presented(state, token).await? {
        return Ok("api_key");
    }
    sessions::revoke(state, client, token).await
}
