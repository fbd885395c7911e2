//! The admin listener: `/metrics`, `/live`, `/ready`.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::Accept;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use rustls::ServerConfig;
use serde_json::json;

use super::listener::{Listener, with_in_flight};
use crate::http::{Hsts, with_head, with_protection};
use crate::metrics::{Format, Metrics};
use crate::readiness::{Finding, Readiness};

/// Connections of the admin listener at a time.
pub(super) const MAX_CONNECTIONS: usize = 100;

pub(super) fn serve(
    socket: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    hsts: &Hsts,
    tls: Option<ServerConfig>,
) -> std::io::Result<Server> {
    let (metrics, readiness) = (web::Data::new(metrics), web::Data::new(readiness));
    let hsts = web::Data::new(hsts.direct().on(tls.is_some()));
    let listener = Listener {
        socket,
        tls,
        workers: 1,
        max_connections: MAX_CONNECTIONS,
        drain_timeout: Duration::from_secs(1),
    };
    listener.serve(move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(readiness.clone())
            .app_data(hsts.clone())
            .route("/metrics", web::get().to(render))
            .route("/live", web::get().to(live))
            .route("/ready", web::get().to(ready))
            .wrap(from_fn(with_head))
            .wrap(from_fn(with_protection))
            .wrap(from_fn(with_in_flight))
    })
}

async fn render(metrics: web::Data<Metrics>, accept: Option<web::Header<Accept>>) -> HttpResponse {
    let format = accept.map_or(Format::Classic, |accept| Format::of(accept.into_inner()));
    HttpResponse::Ok().content_type(format.content_type()).body(metrics.render_as(format))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Each dependency with its state, how long it took to say so, and how long ago that was.
async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let findings = readiness.findings();
    let all = findings.iter().all(Finding::serves);
    let mut response = if all { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let healthy = findings.iter().all(|finding| finding.reason.is_none());
    let status = match (all, healthy) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "not_ready",
    };
    response.json(json!({ "status": status, "dependencies": findings }))
}
