use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::passkey::{self, StoredPasskey};
use crate::state::State;
use crate::step_up::SignedIn;

/// A passkey of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyView {
    passkey_id: Uuid,
    #[schema(example = "my laptop")]
    name: String,
    #[serde(serialize_with = "common::clock::serialize")]
    created_at: DateTime<Utc>,
    /// Null before its first use.
    #[serde(serialize_with = "common::clock::serialize_optional")]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<StoredPasskey> for PasskeyView {
    fn from(row: StoredPasskey) -> Self {
        let StoredPasskey { id: passkey_id, name, created_at, last_used_at, .. } = row;
        Self { passkey_id, name, created_at, last_used_at }
    }
}

/// The caller's passkeys.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyList {
    items: Vec<PasskeyView>,
    /// Always null: there are never more than fit.
    next_before: Option<String>,
}

/// List own passkeys, oldest first
#[utoipa::path(tag = "step-up", security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "All of them", body = PasskeyList),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/v5/auth/webauthn/credentials")]
pub(crate) async fn list_passkeys(
    state: web::Data<State>,
    caller: SignedIn,
) -> Result<web::Json<PasskeyList>, Error> {
    let mut connection = state.pool.get().await?;
    let rows = passkey::list(&mut connection, caller.user_id).await?;
    let items = rows.into_iter().map(PasskeyView::from).collect();
    Ok(web::Json(PasskeyList { items, next_before: None }))
}
