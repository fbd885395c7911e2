//! The endpoints, one a file: request and response types, and a handler that reads as prose.

pub(crate) mod draw_access_token;
pub(crate) mod end_session;
pub(crate) mod end_sessions;
pub(crate) mod finish_login;
pub(crate) mod finish_offline_token;
pub(crate) mod issue_persistent_id;
pub(crate) mod link_account;
pub(crate) mod list_accounts;
pub(crate) mod list_sessions;
pub(crate) mod list_token_uses;
pub(crate) mod list_tokens;
mod query;
pub(crate) mod receive_backchannel_logout;
pub(crate) mod request_offline_token;
pub(crate) mod revoke_persistent_id;
pub(crate) mod show_session;
pub(crate) mod start_login;
pub(crate) mod unlink_account;
pub(crate) mod validate_token;

use actix_web::web;
use common::http::Problem;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use query::Query;

/// The body of every success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Success<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// What was asked for.
    data: T,
}

impl<T> Success<T> {
    /// The answer with `data` in it.
    pub(crate) fn json(data: T) -> web::Json<Self> {
        web::Json(Self { success: true, data })
    }
}

/// The id in the query's `field`.
fn parse_id(field: &str, text: Option<&str>) -> Result<Uuid, Problem> {
    let wrong = |what: &str| Problem::invalid_field(field, format!("`{field}` {what}"));
    let text = text.ok_or_else(|| wrong("is missing"))?;
    text.parse().map_err(|_| wrong("must be a UUID"))
}
