use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::ErrorBody;
use common::paging::{Page, PageQuery, TimeAndId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Query, Success};
use crate::callers::Person;
use crate::error::Error;
use crate::models::account::{self, Account, Expired};
use crate::state::State;

/// An account of the caller at a provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// For `accounts/{id}`.
    #[schema(example = "5d0f6a3e-1b1c-4f5e-8f57-0c9f9a3f7d02")]
    id: Uuid,
    #[schema(example = "keycloak")]
    provider: String,
    #[schema(example = "https://id.example.com/realms/latchkey")]
    issuer: String,
    /// Who the caller is there.
    #[schema(example = "f3c0b8a2-4a35-4f0e-9d3e-0f2b7a1c5d44")]
    subject: String,
    /// Of the last tokens.
    #[schema(example = "openid email profile")]
    scope: Option<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:04:05Z")]
    linked_at: DateTime<Utc>,
    /// When the access token last obtained expires; null where there is none any more.
    #[serde(serialize_with = "common::clock::serialize_optional")]
    #[schema(example = "2026-01-02T03:09:05Z")]
    access_expires_at: Option<DateTime<Utc>>,
    /// Whether it is the one asking.
    #[schema(example = true)]
    current: bool,
}

/// Which page of which accounts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountQuery {
    /// Only those whose last access token has expired, or only the others.
    #[param(example = false)]
    expired: Option<bool>,
    /// `next_before` of the last answer; absent for the first page.
    #[param(example = "MTc5NTY4MDAwMDAwMDAwMA")]
    before: Option<String>,
    /// Accounts wanted, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<i64>,
}

/// List own linked accounts, newest first
#[utoipa::path(tag = "accounts", params(AccountQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of accounts", body = Success<Page<AccountView>>),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/accounts")]
pub(crate) async fn list_accounts(
    state: web::Data<State>,
    person: Person,
    Query(query): Query<AccountQuery>,
) -> Result<web::Json<Success<Page<AccountView>>>, Error> {
    let page = PageQuery { before: query.before, limit: query.limit };
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let now = state.clock.now();
    let expired = query.expired.map(|wanted| Expired { wanted, now });
    let mut connection = state.pool.get().await?;
    let rows = account::list(&mut connection, person.user_id, expired, before, limit + 1).await?;
    let key = |account: &Account| TimeAndId(account.created_at, account.id);
    Ok(Success::json(Page::from_rows(rows, limit, key, |account| AccountView {
        current: account.issuer == person.issuer && account.subject == person.subject,
        id: account.id,
        provider: account.provider,
        issuer: account.issuer,
        subject: account.subject,
        scope: account.scope,
        linked_at: account.created_at,
        access_expires_at: account.access_expires_at,
    })))
}
