use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, get, web};
use common::http::{ErrorBody, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;
use crate::state::State;

const MEDIA_TYPE: &str = "application/jwk-set+json";

/// All keys or one.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JwksQuery {
    /// One key; the set is empty where it is unknown.
    kid: Option<String>,
}

/// A JWK set (RFC 7517, section 5).
#[derive(Serialize, ToSchema)]
pub(crate) struct JwkSet {
    keys: Vec<Value>,
}

/// The published keys
#[utoipa::path(tag = "keys", params(JwksQuery), responses(
    (status = 200, description = "The whole set, or with `kid` one key or none", content_type = "application/jwk-set+json", body = JwkSet),
    (status = 304, description = "The set that `If-None-Match` names is still the newest"),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/.well-known/jwks.json")]
pub(crate) async fn show_jwks(
    state: web::Data<State>,
    request: HttpRequest,
    Query(query): Query<JwksQuery>,
) -> Result<HttpResponse, Error> {
    if let Some(kid) = &query.kid {
        let keys: Vec<Value> =
            state.signing.find_public(&state.pool, kid).await?.into_iter().collect();
        return Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type(MEDIA_TYPE)
            .body(serde_json::to_vec(&JwkSet { keys }).unwrap_or_default()));
    }
    let document = state.signing.jwks.document().await?;
    let known = request
        .headers()
        .get_all(IF_NONE_MATCH)
        .any(|value| value.to_str().is_ok_and(|tags| names(tags, &document.etag)));
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((ETAG, document.etag.as_str()));
    if known {
        return Ok(response.finish());
    }
    Ok(response.content_type(MEDIA_TYPE).body(document.body))
}

/// Weak comparison, as `If-None-Match` asks for (RFC 9110, section 13.1.2).
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
