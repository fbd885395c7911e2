use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, web};
use common::http::{ErrorBody, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::Error;
use crate::signing;
use crate::state::State;

/// Which key.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PublicKeyQuery {
    /// Any published key; without it the current service key.
    kid: Option<String>,
}

/// A public key as PEM
///
/// Verifiers that know PEM only need service signing mode.
#[utoipa::path(tag = "keys", params(PublicKeyQuery), responses(
    (status = 200, description = "SubjectPublicKeyInfo", content_type = "application/x-pem-file", body = String),
    (status = 404, description = "`no_such_key`", body = ErrorBody),
    (status = 503, description = "`database_unavailable`", body = ErrorBody),
))]
#[get("/api/auth/public-key")]
pub(crate) async fn show_public_key(
    state: web::Data<State>,
    Query(query): Query<PublicKeyQuery>,
) -> Result<HttpResponse, Error> {
    let jwk = match &query.kid {
        Some(kid) => state.signing.find_public(&state.pool, kid).await?,
        None => state.signing.service_public().await?,
    };
    let pem = jwk.and_then(|jwk| signing::to_pem(&jwk)).ok_or(Error::NoSuchKey)?;
    let mut response = HttpResponse::Ok();
    // One that was asked for by its id may be revoked at any moment.
    if query.kid.is_none() {
        response.insert_header((CACHE_CONTROL, "public, max-age=300"));
    }
    Ok(response.content_type("application/x-pem-file").body(pem))
}
