use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::clock::rfc3339;
use common::http::ErrorBody;
use common::paging::{Page, PageQuery, TimeAndId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Query, Success};
use crate::callers::Person;
use crate::error::Error;
use crate::models::grant::GrantHead;
use crate::models::persistent_token::{self, PersistentToken};
use crate::state::State;

/// A persistent id of the caller, and what it draws on; never a token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenView {
    #[schema(example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11")]
    persistent_token_id: Uuid,
    /// The provider's name here.
    #[schema(example = "keycloak")]
    provider: String,
    /// The client that the grant was given to.
    #[schema(example = "latchkey-offline")]
    client_id: String,
    /// The grant's own session at the provider.
    #[schema(example = "AkFqGdVbJDUKQTpS2dBCs3Ea")]
    session_state_id: String,
    /// `offline` or `refresh`.
    #[schema(example = "offline")]
    token_type: String,
    #[schema(example = "openid offline_access email profile")]
    scope: String,
    /// `live`, `outcome_unknown`, `dead` or `revoking`.
    #[schema(example = "live")]
    state: String,
    /// When the grant ends if it is not used; null: no maximum.
    #[schema(example = "2026-02-01T03:04:05Z")]
    grant_expires_at: Option<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:04:05Z")]
    created_at: DateTime<Utc>,
    /// As the ledger was last written; null: never.
    #[schema(example = "2026-01-03T04:05:06Z")]
    last_used_at: Option<String>,
}

/// List own persistent ids, newest first
#[utoipa::path(tag = "access tokens", params(PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of ids", body = Success<Page<TokenView>>),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/tokens")]
pub(crate) async fn list_tokens(
    state: web::Data<State>,
    person: Person,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Success<Page<TokenView>>>, Error> {
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let (mut connection, user) = (state.pool.get().await?, person.user_id);
    let rows = persistent_token::list_of_user(&mut connection, user, before, limit + 1).await?;
    let key = |(token, _): &(PersistentToken, _)| TimeAndId(token.created_at, token.id);
    Ok(Success::json(Page::from_rows(rows, limit, key, TokenView::from)))
}

impl From<(PersistentToken, GrantHead)> for TokenView {
    fn from((token, grant): (PersistentToken, GrantHead)) -> Self {
        Self {
            persistent_token_id: token.id,
            provider: grant.provider,
            client_id: grant.client_id,
            session_state_id: grant.session_state_id,
            token_type: grant.token_type,
            scope: grant.scope,
            state: grant.state,
            grant_expires_at: grant.grant_expires_at.map(rfc3339),
            created_at: token.created_at,
            last_used_at: token.last_used_at.map(rfc3339),
        }
    }
}
