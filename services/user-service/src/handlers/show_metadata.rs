use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, web};
use common::claims::{ACR_PASSKEY, ACR_PASSWORD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::State;

/// Authorization server metadata (RFC 8414, section 2).
#[derive(Serialize, ToSchema)]
pub(crate) struct Metadata {
    /// Exactly the tokens' `iss`.
    #[schema(example = "https://id.example.com")]
    issuer: String,
    #[schema(example = "https://id.example.com/.well-known/jwks.json")]
    jwks_uri: String,
    /// Refresh tokens are taken here, as JSON.
    #[schema(example = "https://id.example.com/api/auth/refresh")]
    token_endpoint: String,
    /// None: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    #[schema(example = "https://id.example.com/api/auth/introspect")]
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    #[schema(example = "https://id.example.com/api/auth/revoke")]
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    scopes_supported: Vec<String>,
    /// What a proof of the person may be worth (RFC 9470, section 7).
    acr_values_supported: [&'static str; 2],
    #[schema(example = "https://id.example.com/docs")]
    service_documentation: String,
}

/// What clients can find out by themselves
#[utoipa::path(tag = "keys", responses((status = 200, description = "Metadata", body = Metadata)))]
#[get("/.well-known/oauth-authorization-server")]
pub(crate) async fn show_metadata(state: web::Data<State>) -> HttpResponse {
    let base = state.settings.base_url();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(Metadata {
        issuer: state.settings.issuer().to_owned(),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        token_endpoint: format!("{base}/api/auth/refresh"),
        response_types_supported: [],
        grant_types_supported: ["refresh_token"],
        token_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint: format!("{base}/api/auth/introspect"),
        introspection_endpoint_auth_methods_supported: ["client_secret_basic"],
        revocation_endpoint: format!("{base}/api/auth/revoke"),
        revocation_endpoint_auth_methods_supported: ["client_secret_basic"],
        scopes_supported: state.settings.token.scope.split(' ').map(str::to_owned).collect(),
        acr_values_supported: [ACR_PASSKEY, ACR_PASSWORD],
        service_documentation: format!("{base}/docs"),
    })
}
