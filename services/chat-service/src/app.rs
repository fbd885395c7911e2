//! How the service is built, and its route table.

use std::sync::Arc;

use actix_web::web;
use common::clock::Clock;
use common::database::{self, Pool};
use common::http::{Cors, Hsts};
use common::metrics::Metrics;
use common::readiness::Readiness;
use common::service::Blueprint;
use token_verifier::Verifier;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::config::Settings;
use crate::live::{Hub, Places};
use crate::metrics::ServiceMetrics;
use crate::state::State;
use crate::{handlers, housekeeping};

/// Open to every origin.
const PUBLIC_PATHS: &[&str] = &["/openapi.json"];

/// Builds the service; an error is a bad setting.
pub async fn build(settings: Settings, clock: Clock) -> Result<Blueprint, String> {
    let metrics = Metrics::new("chat-service");
    let counters = ServiceMetrics::register(&metrics);
    let database = settings.database.open(settings.environment)?;
    let pool = settings.database.pool(&database);
    let draining = CancellationToken::new();
    let verifier = Verifier::start(&settings.verifier, clock.clone(), &metrics)?;
    let hub = Hub::start(
        pool.clone(),
        (database, settings.database.max_connections),
        settings.live.poll_interval,
        counters.clone(),
        draining.clone(),
    );
    let readiness = readiness(pool.clone(), verifier.clone());
    let cors = Cors::new(&settings.cors, PUBLIC_PATHS);
    // It knows no address of its own: who ends TLS in front of it says it.
    let hsts = Hsts::new(settings.hsts, settings.environment, None);
    let state = State {
        pool,
        clock,
        settings,
        hub,
        places: Places::default(),
        metrics: counters,
        draining: draining.clone(),
    };
    let (state, verifier) = (web::Data::new(state), web::Data::new(verifier));
    let kept = state.clone();
    metrics.tasks().run("housekeeping", move || housekeeping::run(kept.clone()));
    Ok(Blueprint {
        document: document(),
        routes: Arc::new(move |config| {
            config.app_data(state.clone()).app_data(verifier.clone());
            routes(config);
        }),
        metrics,
        readiness,
        cors,
        hsts,
        draining,
        finish: None,
    })
}

/// Every route of the service.
fn routes(config: &mut ServiceConfig) {
    config
        // Rooms
        .service(handlers::create_room::create_room)
        .service(handlers::join_room::join_room)
        .service(handlers::leave_room::leave_room)
        .service(handlers::invite_member::invite_member)
        .service(handlers::remove_member::remove_member)
        .service(handlers::list_rooms::list_rooms)
        .service(handlers::list_members::list_members)
        // Messages
        .service(handlers::send_message::send_message)
        .service(handlers::list_messages::list_messages)
        .service(handlers::open_websocket::open_websocket);
}

fn readiness(pool: Pool, verifier: Verifier) -> Readiness {
    Readiness::default()
        .with("database", move || database::check(pool.clone()))
        .with_known("keys", move || verifier.readiness())
}

/// The document's title; the paths come from the route table.
fn document() -> OpenApi {
    common::http::document(
        "Latchkey chat-service",
        "Rooms, messages and live delivery behind Latchkey access tokens. Errors have one body \
         everywhere; `code` is stable.",
    )
}
