use actix_web::{post, web};
use common::claims::acr;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::oauth::{OauthClient, OauthError, OauthErrorBody, TokenForm};
use crate::api_keys;
use crate::error::Error;
use crate::models::api_key::ApiKey;
use crate::models::user;
use crate::sessions::{self, Presented};
use crate::state::State;

/// What a token is worth (RFC 7662, section 2.2); of one that is worth nothing, nothing else.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Introspection {
    active: bool,
    /// `Bearer`, of access tokens alone: nothing else opens a resource.
    #[schema(example = "Bearer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "chat")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "latchkey-app")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_795_687_200)]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_795_680_000)]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_795_680_000)]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Uuid>,
    /// Of a refresh token the issuer itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "latchkey")]
    aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://id.example.com")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "f0b9b1c2-6a57-4f0e-8f86-4d1d5a5b7c11")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_795_680_000)]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "urn:latchkey:acr:password")]
    acr: Option<&'static str>,
}

/// Ask what a token is worth
///
/// RFC 7662, for access tokens, refresh tokens and API keys. Unknown, expired and revoked tokens, and refresh tokens that are not the newest, are
/// all the same `{"active": false}`.
#[utoipa::path(tag = "oauth", security(("client" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "What it is worth", body = Introspection),
    (status = 400, description = "`invalid_request`", body = OauthErrorBody),
    (status = 401, description = "`invalid_client`", body = OauthErrorBody),
    (status = 503, description = "`temporarily_unavailable`", body = OauthErrorBody),
))]
#[post("/api/auth/introspect")]
pub(crate) async fn introspect_token(
    state: web::Data<State>,
    client: OauthClient,
    form: TokenForm,
) -> Result<web::Json<Introspection>, OauthError> {
    let found = state.in_time(find(&state, &form.token)).await?;
    let outcome = if found.active { "active" } else { "inactive" };
    state.metrics.introspections.with_label_values(&[outcome]).inc();
    tracing::debug!(client = client.0, outcome, "token_introspected");
    Ok(web::Json(found))
}

async fn find(state: &State, token: &str) -> Result<Introspection, Error> {
    if let Some(key) = api_keys::find_active(state, token).await? {
        return describe_key(state, key).await;
    }
    match sessions::find_active(state, token).await? {
        Some(found) => describe(state, found).await,
        None => Ok(Introspection::default()),
    }
}

/// An API key has no session and proves no person: there is neither `sid` nor `auth_time`.
async fn describe_key(state: &State, key: ApiKey) -> Result<Introspection, Error> {
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, key.user_id).await?;
    Ok(Introspection {
        active: user.is_some(),
        token_type: Some("Bearer"),
        scope: Some(key.scopes.join(" ")),
        client_id: Some(api_keys::CLIENT_ID.to_owned()),
        username: user.map(|user| user.username),
        exp: Some(key.expires_at.timestamp()),
        iat: Some(key.created_at.timestamp()),
        sub: Some(key.user_id),
        aud: Some(state.settings.token.audience.clone()),
        iss: Some(state.settings.issuer().to_owned()),
        jti: Some(key.id.to_string()),
        user_id: Some(key.user_id),
        ..Introspection::default()
    })
}

async fn describe(state: &State, found: Presented) -> Result<Introspection, Error> {
    let session = found.session();
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, session.user_id).await?;
    drop(connection);
    let common = Introspection {
        active: true,
        scope: Some(session.scope.clone()),
        client_id: Some(session.client_id.clone()),
        username: user.map(|user| user.username),
        sub: Some(session.user_id),
        iss: Some(state.settings.issuer().to_owned()),
        user_id: Some(session.user_id),
        device_id: Some(session.device_id),
        sid: Some(session.id),
        auth_time: Some(session.auth_time.timestamp()),
        acr: Some(acr(&session.amr)),
        amr: Some(session.amr.clone()),
        ..Introspection::default()
    };
    Ok(match found {
        Presented::Access(claims, _) => Introspection {
            token_type: Some("Bearer"),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            nbf: Some(claims.nbf),
            aud: Some(state.settings.token.audience.clone()),
            jti: Some(claims.jti),
            ..common
        },
        Presented::Refresh(session) => Introspection {
            exp: Some(session.expires_at.timestamp()),
            iat: Some(session.rotated_at.timestamp()),
            aud: common.iss.clone(),
            ..common
        },
    })
}
