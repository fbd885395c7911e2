use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, post, web};
use common::http::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Query, Success};
use crate::callers::Person;
use crate::error::Error;
use crate::sessions::{self, Browser, Wish};
use crate::state::State;

/// Where.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Link {
    /// A configured provider; the default one where it is left out.
    #[param(example = "partner")]
    provider: Option<String>,
    /// Where the browser goes afterwards, on an origin that the configuration lists.
    #[param(example = "https://app.example.com/accounts")]
    return_to: Option<String>,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkRequest {
    /// To be opened in the browser that made this request and keeps its cookie.
    #[schema(example = "https://id.example.com/realms/partner/protocol/openid-connect/auth?…")]
    link_url: String,
}

/// Link another account
///
/// The browser that made this request follows `link_url` with the cookie that came with the
/// answer, signs in there, and comes back to `callback`.
#[utoipa::path(tag = "accounts", params(Link), security(("bearer" = [])), responses(
    (status = 200, description = "Where to go", body = Success<LinkRequest>, headers(("set-cookie" = String))),
    (status = 400, description = "`validation_error`: an unknown provider, or `return_to` is not on the list", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[post("/api/auth/manager/accounts/link")]
pub(crate) async fn link_account(
    request: HttpRequest,
    state: web::Data<State>,
    person: Person,
    Query(link): Query<Link>,
) -> Result<HttpResponse, Error> {
    let (browser, cookie) = Browser::of(request.headers(), &state.settings).value_or_new();
    let wish = Wish {
        provider: link.provider.as_deref(),
        browser: Some(&browser),
        link_to: Some(person.user_id),
        return_to: link.return_to.as_deref(),
    };
    let link_url = sessions::start(&state, &wish).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::SET_COOKIE, cookie))
        .json(Success::json(LinkRequest { link_url }).0))
}
