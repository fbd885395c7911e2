use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, SegmentPath};
use common::paging::{Page, PageQuery};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Query, Success};
use crate::callers::Person;
use crate::error::Error;
use crate::models::token_use::TokenUse;
use crate::models::{persistent_token, token_use};
use crate::state::State;

/// One use of a persistent id.
#[derive(Serialize, ToSchema)]
pub(crate) struct UseView {
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-03T04:05:06Z")]
    used_at: DateTime<Utc>,
    /// The client that asked.
    #[schema(example = "latchkey-job")]
    client_id: String,
    /// The scope it asked for; empty: it named none.
    #[schema(example = "email openid")]
    scope: String,
    /// `cached`, `refreshed`, or the code of the error.
    #[schema(example = "refreshed")]
    outcome: String,
}

/// List the uses of an own persistent id, newest first
///
/// Entries appear within a second of the use, and outlive the id.
#[utoipa::path(
    tag = "access tokens",
    params(
        ("id" = Uuid, Path, description = "The persistent id",
            example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11"),
        PageQuery
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of uses", body = Success<Page<UseView>>),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
        (status = 404, description = "`token_not_found`", body = ErrorBody),
        (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
        (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
    )
)]
#[get("/api/auth/manager/tokens/{id}/uses")]
pub(crate) async fn list_token_uses(
    state: web::Data<State>,
    person: Person,
    SegmentPath(id): SegmentPath<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Success<Page<UseView>>>, Error> {
    let id = id.ok_or(Error::TokenNotFound)?;
    let (limit, before) = (page.limit()?, page.before::<i64>()?);
    let (mut connection, user) = (state.pool.get().await?, person.user_id);
    let rows = token_use::list(&mut connection, id, user, before, limit + 1).await?;
    if rows.is_empty() {
        let own = persistent_token::find_of_user(&mut connection, id, user).await?;
        own.ok_or(Error::TokenNotFound)?;
    }
    Ok(Success::json(Page::from_rows(rows, limit, |entry| entry.id, UseView::from)))
}

impl From<TokenUse> for UseView {
    fn from(entry: TokenUse) -> Self {
        Self {
            used_at: entry.used_at,
            client_id: entry.client_id,
            scope: entry.scope,
            outcome: entry.outcome,
        }
    }
}
