use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::readiness::{Finding, Readiness};

/// The service is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `healthy`.
    #[schema(example = "healthy")]
    pub status: &'static str,
    /// The running version.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
}

/// Whether the service takes traffic.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    pub status: &'static str,
}

/// The service is alive
#[utoipa::path(tag = "health", responses((status = 200, description = "Alive", body = Health)))]
#[get("/health")]
pub(crate) async fn health() -> web::Json<Health> {
    web::Json(Health { status: "healthy", version: env!("CARGO_PKG_VERSION") })
}

/// The service has what it depends on
#[utoipa::path(tag = "health", responses(
    (status = 200, description = "Takes traffic", body = Ready),
    (status = 503, description = "A dependency is missing; the admin listener says which", body = Ready),
))]
#[get("/health/ready")]
pub(crate) async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    if readiness.findings().iter().all(Finding::serves) {
        HttpResponse::Ok().json(Ready { status: "ready" })
    } else {
        HttpResponse::ServiceUnavailable().json(Ready { status: "not_ready" })
    }
}
