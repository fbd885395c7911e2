//! State, route table, and how both are built.

use std::sync::Arc;

use actix_web::web;
use common::clock::Clock;
use common::database::{self, Pool};
use common::http::Cors;
use common::metrics::Metrics;
use common::readiness::Readiness;
use common::service::Blueprint;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_actix_web::service_config::ServiceConfig;
use vault_crypto::Keyring;

use crate::config::Settings;
use crate::feed::{FeedClients, Hub};
use crate::limits::{MemoryLimiter, RateLimiter};
use crate::metrics::ServiceMetrics;
use crate::models::auth_session::AuthSession;
use crate::passwords::PasswordHasher;
use crate::sessions::{EndReason, MacKeys};
use crate::signing::Signing;
use crate::{handlers, housekeeping};

/// Open to every origin: keys and metadata are public.
const PUBLIC_PATHS: &[&str] = &[
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/api/auth/public-key",
    "/openapi.json",
];

/// What handlers and rooms share.
#[derive(Clone)]
pub struct State {
    /// PostgreSQL.
    pub pool: Pool,
    /// The time.
    pub clock: Clock,
    /// The settings as read.
    pub settings: Settings,
    /// Seals private keys and secrets.
    pub(crate) keyring: Keyring,
    /// Keys under refresh tokens.
    pub(crate) mac_keys: MacKeys,
    /// The room in which passwords are hashed.
    pub(crate) hasher: PasswordHasher,
    /// Limits by address.
    pub(crate) limiter: Arc<dyn RateLimiter>,
    /// Signs and publishes.
    pub(crate) signing: Signing,
    /// Announces revocations.
    pub(crate) hub: Hub,
    /// Who may hear them.
    pub(crate) feed_clients: FeedClients,
    /// What is counted.
    pub(crate) metrics: ServiceMetrics,
    /// Cancelled when the service drains.
    pub(crate) draining: CancellationToken,
}

impl State {
    /// To be called after the transaction that ended `sessions` is committed.
    pub(crate) fn forget_sessions(&self, sessions: &[AuthSession], reason: EndReason) {
        if sessions.is_empty() {
            return;
        }
        self.hub.wake();
        self.signing.forget(sessions.iter().filter_map(|session| session.kid.as_deref()));
        let ended = u64::try_from(sessions.len()).unwrap_or(u64::MAX);
        self.metrics.sessions_ended.with_label_values(&[reason.as_str()]).inc_by(ended);
        tracing::info!(reason = reason.as_str(), ended, "sessions_ended");
    }
}

/// Builds the service; an error is a bad setting.
pub async fn build(settings: Settings, clock: Clock) -> Result<Blueprint, String> {
    let metrics = Metrics::new("user-service");
    let counters = ServiceMetrics::register(&metrics);
    let pool = settings.database.pool();
    let keyring = Keyring::parse(settings.vault.keys.expose())
        .map_err(|error| format!("`vault.keys`: {error}"))?;
    let mac_keys = MacKeys::parse(settings.refresh.mac_keys.expose())?;
    let hasher = PasswordHasher::new(&settings.passwords, &counters)?;
    hasher.calibrate(Vec::new()).await.map_err(|error| error.to_string())?;
    let feed_clients = FeedClients::parse(&settings.feed)?;
    let signing = Signing::start(&settings, pool.clone(), keyring.clone(), &clock, &counters)?;
    let url = settings.database.url.clone();
    let hub = Hub::start(pool.clone(), url, clock.clone(), counters.clone());
    let state = State {
        pool: pool.clone(),
        clock,
        keyring,
        mac_keys,
        hasher,
        limiter: Arc::new(MemoryLimiter::new(&settings.limits)),
        signing,
        hub: hub.clone(),
        feed_clients,
        metrics: counters,
        draining: CancellationToken::new(),
        settings,
    };
    let draining = state.draining.clone();
    tokio::spawn(housekeeping::run(state.clone()));
    let readiness = Readiness::default()
        .with("database", move || database::check(pool.clone()))
        .with("change_feed", move || {
            let fresh = hub.is_fresh();
            async move { fresh.then_some(()).ok_or_else(|| "the changes can't be read".to_owned()) }
        });
    let cors = Cors::new(&state.settings.cors, PUBLIC_PATHS);
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
        draining,
    })
}

/// Every route of the service.
fn routes(config: &mut ServiceConfig) {
    config
        // Accounts and devices
        .service(handlers::register_user::register_user)
        .service(handlers::register_device::register_device)
        .service(handlers::change_password::change_password)
        .service(handlers::list_devices::list_devices)
        .service(handlers::remove_device::remove_device)
        // Sessions
        .service(handlers::log_in::log_in)
        .service(handlers::refresh_session::refresh_session)
        .service(handlers::log_out::log_out)
        .service(handlers::log_out_everywhere::log_out_everywhere)
        .service(handlers::list_sessions::list_sessions)
        .service(handlers::remove_session::remove_session)
        // Keys
        .service(handlers::show_public_key::show_public_key)
        .service(handlers::show_jwks::show_jwks)
        .service(handlers::stream_changes::stream_changes)
        .service(handlers::show_metadata::show_metadata);
}

/// Title and security schemes; the paths come from the route table.
fn document() -> OpenApi {
    let mut document = OpenApi::default();
    "Latchkey user-service".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.description = Some(
        "Accounts, devices, sessions, access tokens and keys. Errors have one body everywhere; \
         `code` is stable."
            .to_owned(),
    );
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(
        Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
    );
    components.add_security_scheme("bearer", bearer);
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    components.add_security_scheme("client", basic);
    document
}
