use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY,
    CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderName, HeaderValue, PERMISSIONS_POLICY,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::{Cors, Hsts};

/// What every answer says, whatever its status.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (PERMISSIONS_POLICY, HeaderValue::from_static("geolocation=(), microphone=(), camera=()")),
    (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
];

/// What an answer says that its handler has not said otherwise: pages need a policy of their own,
/// and what is public may be kept.
const UNLESS_SAID: [(HeaderName, HeaderValue); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Marks every answer of an app with what browsers must not do with it.
pub(crate) async fn with_protection(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let public = is_public(&request);
    let hsts = request.app_data::<Data<Hsts>>().and_then(|hsts| hsts.said_to(&request));
    let mut response = next.call(request).await?;
    protect(response.headers_mut(), public, hsts);
    Ok(response)
}

fn is_public(request: &ServiceRequest) -> bool {
    request.app_data::<Data<Cors>>().is_some_and(|cors| cors.is_public(request.path()))
}

fn protect(headers: &mut HeaderMap, public: bool, hsts: Option<HeaderValue>) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    for (name, value) in UNLESS_SAID {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    let readers = if public { "cross-origin" } else { "same-origin" };
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(readers));
    if let Some(hsts) = hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
    }
}
