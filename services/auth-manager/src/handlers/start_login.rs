use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use common::http::ErrorBody;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Query;
use crate::error::Error;
use crate::sessions::{self, Browser, Wish};
use crate::state::State;

/// Where, and what afterwards.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Login {
    /// A configured provider; the default one where it is left out.
    #[param(example = "keycloak")]
    provider: Option<String>,
    /// Where the browser goes after sign-in, on an origin that the configuration lists; without it
    /// the callback answers JSON.
    #[param(example = "https://app.example.com/welcome")]
    return_to: Option<String>,
}

/// Sign in: sends the browser to the provider
///
/// Code flow with PKCE (S256). The request is bound to this browser by a cookie, and good once.
#[utoipa::path(tag = "sign-in", params(Login), responses(
    (status = 302, description = "To the provider", headers(("location" = String), ("set-cookie" = String))),
    (status = 400, description = "`validation_error`: an unknown provider, or `return_to` is not on the list", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/login")]
pub(crate) async fn start_login(
    request: HttpRequest,
    state: web::Data<State>,
    Query(login): Query<Login>,
) -> Result<HttpResponse, Error> {
    let (browser, cookie) = Browser::of(request.headers(), &state.settings).value_or_new();
    let wish = Wish {
        provider: login.provider.as_deref(),
        browser: Some(&browser),
        link_to: None,
        return_to: login.return_to.as_deref(),
    };
    let url = sessions::start(&state, &wish).await?;
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}
