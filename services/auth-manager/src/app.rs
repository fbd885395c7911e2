//! How the service is built, and its route table.

use std::sync::Arc;

use actix_web::web;
use common::clock::Clock;
use common::database::{self, Database};
use common::http::{Cors, Hsts};
use common::metrics::Metrics;
use common::readiness::Readiness;
use common::service::Blueprint;
use sealed_columns::KeyCheck;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::callers::Callers;
use crate::config::Settings;
use crate::metrics::ServiceMetrics;
use crate::providers::Providers;
use crate::sessions::{SessionCache, hear_endings};
use crate::state::State;
use crate::vault::{DrawTools, Draws, Ledger, Outbox, SEALED_COLUMNS};
use crate::{handlers, housekeeping};

/// Open to every origin.
const PUBLIC_PATHS: &[&str] = &["/openapi.json"];

/// One for what draws look up, one for the ledger, and one while either is made again.
const LOOKUP_CONNECTIONS: u32 = 3;

/// Builds the service; an error is a bad setting.
pub async fn build(settings: Settings, clock: Clock) -> Result<Blueprint, String> {
    let metrics = Metrics::new("auth-manager");
    let database = settings.database.open(settings.environment)?;
    let counted = ServiceMetrics::register(&metrics);
    let state = state(settings, &database, clock.clone(), counted)?;
    let (pool, draining) = (state.pool.clone(), state.draining.clone());
    let keyring = state.keyring.clone();
    let keys = KeyCheck::start(pool.clone(), SEALED_COLUMNS, keyring, clock).await?;
    let ledger = state.ledger.clone();
    let kept = state.clone();
    metrics.tasks().run("housekeeping", move || housekeeping::run(kept.clone()));
    let listening = state.clone();
    metrics.tasks().run("session_ends", move || hear_endings(listening.clone(), database.clone()));
    Outbox::start(state.clone());
    let callers = state.callers.clone();
    let readiness = Readiness::default()
        .with("database", move || database::check(pool.clone()))
        .with("keyring", move || keys.clone().readiness())
        .with_known("callers", move || callers.readiness());
    let cors = Cors::new(&state.settings.cors, PUBLIC_PATHS);
    let Settings { hsts, environment, public_url, .. } = &state.settings;
    let hsts = Hsts::new(*hsts, *environment, Some(public_url));
    let state = web::Data::new(state);
    Ok(Blueprint {
        document: document(),
        routes: Arc::new(move |config| {
            config.app_data(state.clone());
            routes(config);
        }),
        metrics,
        readiness,
        cors,
        hsts,
        draining,
        finish: Some(Box::pin(async move { ledger.flush().await })),
    })
}

fn state(
    settings: Settings,
    database: &Database,
    clock: Clock,
    metrics: ServiceMetrics,
) -> Result<State, String> {
    let pool = settings.database.pool(database);
    let lookup_pool = settings.database.planned_once(LOOKUP_CONNECTIONS, database);
    let draining = CancellationToken::new();
    let keyring = settings.vault.keyring()?;
    let hasher = settings.vault.token_hasher()?;
    let signer = settings.states.state_key()?;
    let providers = Providers::start(&settings.providers, settings.environment, &clock, &metrics)?;
    let callers =
        Callers::new(&settings.callers, providers.clone(), clock.clone(), metrics.clone());
    let hasher = Arc::new(hasher);
    let ledger = Ledger::start(lookup_pool.clone(), clock.clone(), &metrics);
    let draws = Draws::new(DrawTools {
        pool: pool.clone(),
        lookup_pool,
        clock: clock.clone(),
        keyring: keyring.clone(),
        hasher: Arc::clone(&hasher),
        providers: providers.clone(),
        ledger: ledger.clone(),
        metrics: metrics.clone(),
        settings: settings.draw,
        call_timeout: settings.providers.timeout.0,
    });
    Ok(State {
        draws,
        ledger,
        outbox: Outbox::default(),
        sessions: SessionCache::default(),
        hasher,
        pool,
        clock,
        keyring,
        signer,
        providers,
        callers,
        metrics,
        draining,
        settings,
    })
}

/// Every route of the service.
fn routes(config: &mut ServiceConfig) {
    config
        // Sign-in
        .service(handlers::start_login::start_login)
        .service(handlers::finish_login::finish_login)
        .service(handlers::validate_token::validate_token)
        .service(handlers::receive_backchannel_logout::receive_backchannel_logout)
        // Access tokens
        .service(handlers::draw_access_token::draw_access_token)
        .service(handlers::list_tokens::list_tokens)
        .service(handlers::list_token_uses::list_token_uses)
        // Accounts and sessions
        .service(handlers::link_account::link_account)
        .service(handlers::list_accounts::list_accounts)
        .service(handlers::unlink_account::unlink_account)
        .service(handlers::list_sessions::list_sessions)
        .service(handlers::end_sessions::end_sessions)
        .service(handlers::show_session::show_session)
        .service(handlers::end_session::end_session)
        // Offline use
        .service(handlers::request_offline_token::request_offline_token)
        .service(handlers::finish_offline_token::finish_offline_token)
        .service(handlers::issue_persistent_id::issue_persistent_id)
        .service(handlers::revoke_persistent_id::revoke_persistent_id);
}

/// The document's title; the paths come from the route table.
fn document() -> OpenApi {
    common::http::document(
        "Latchkey auth-manager",
        "Sign-in at Keycloak and other providers, consent to offline use, and access tokens on \
         demand. Success bodies are `{\"success\": true, \"data\": …}`; errors have one body \
         everywhere, whose `code` is stable: bad input is `validation_error`.",
    )
}
