use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::api_key::{self, ApiKey};
use crate::state::State;
use crate::step_up::SignedIn;

/// A key without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyView {
    key_id: Uuid,
    #[schema(example = "nightly backup")]
    name: String,
    #[schema(example = json!(["chat"]))]
    scopes: Vec<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize")]
    expires_at: DateTime<Utc>,
    /// To the minute; null before its first use.
    #[serde(serialize_with = "common::clock::serialize_optional")]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id: key_id, name, scopes, created_at, expires_at, last_used_at, .. } = key;
        Self { key_id, name, scopes, created_at, expires_at, last_used_at }
    }
}

/// The caller's keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeys {
    items: Vec<ApiKeyView>,
    /// Always null: there are never more than fit.
    next_before: Option<String>,
}

/// List own API keys, newest first
#[utoipa::path(tag = "step-up", security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "Those that work, without their secrets", body = ApiKeys),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/api-keys")]
pub(crate) async fn list_api_keys(
    state: web::Data<State>,
    caller: SignedIn,
) -> Result<web::Json<ApiKeys>, Error> {
    let mut connection = state.pool.get().await?;
    let keys = api_key::list_live(&mut connection, caller.user_id, state.clock.now()).await?;
    let items = keys.into_iter().map(ApiKeyView::from).collect();
    Ok(web::Json(ApiKeys { items, next_before: None }))
}
