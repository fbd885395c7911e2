//! How the service is built, and its route table.

use std::sync::Arc;

use actix_web::web;
use common::clock::Clock;
use common::http::{Cors, Hsts};
use common::metrics::Metrics;
use common::service::Blueprint;
use sealed_columns::KeyCheck;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::audit::{self, ChainKeys, Recorder, Rounds, Rules, WatchedCaptcha, WatchedLimiter};
use crate::browser::Browser;
use crate::config::Settings;
use crate::feed::{FeedClients, Hub};
use crate::metrics::ServiceMetrics;
use crate::passkeys::Passkeys;
use crate::passwords::PasswordHasher;
use crate::readiness::readiness;
use crate::rollout::Rollout;
use crate::sealed_columns::SEALED_COLUMNS;
use crate::sessions::MacKeys;
use crate::signing::Signing;
use crate::state::State;
use crate::{captcha, handlers, housekeeping, limits};

/// Open to every origin: keys and metadata are public.
const PUBLIC_PATHS: &[&str] = &[
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/api/auth/public-key",
    "/openapi.json",
];

/// Builds the service; an error is a bad setting.
pub async fn build(settings: Settings, clock: Clock) -> Result<Blueprint, String> {
    let metrics = Metrics::new("user-service");
    let counters = ServiceMetrics::register(&metrics);
    let database = settings.database.open(settings.environment)?;
    let pool = settings.database.pool(&database);
    let keyring = settings.vault.keyring()?;
    let keys =
        KeyCheck::start(pool.clone(), SEALED_COLUMNS, keyring.clone(), clock.clone()).await?;
    let mac_keys = MacKeys::parse(settings.refresh.mac_keys.expose())?;
    let hasher = PasswordHasher::new(&settings.passwords, &counters)?;
    hasher.calibrate(Vec::new()).await.map_err(|error| error.to_string())?;
    let feed_clients = FeedClients::parse(&settings.feed)?;
    let signing = Signing::start(&settings, pool.clone(), keyring.clone(), &clock, &counters)?;
    let hub = Hub::start(pool.clone(), database, clock.clone(), counters.clone(), signing.clone());
    let rollout = Rollout::start(&settings, pool.clone(), clock.clone(), &counters);
    hub.follow(&rollout);
    let redis = settings.redis.open(&metrics)?;
    let chain_keys = ChainKeys::parse(settings.audit.chain_keys.expose())?;
    let recorder = Recorder::start(pool.clone(), chain_keys, clock.clone(), &counters);
    let stores = (pool.clone(), redis.clone());
    let limiter = limits::limiter(&settings, clock.clone(), stores, &counters);
    let limiter = Arc::new(WatchedLimiter { inner: limiter, recorder: recorder.clone() });
    let checks = counters.captcha_checks.clone();
    let captcha = captcha::captcha(&settings.captcha, clock.clone(), checks)?;
    let passkeys = Passkeys::new(&settings)?;
    let retention = Rules::new(&settings.audit)?;
    let captcha = Arc::new(WatchedCaptcha { inner: captcha, recorder: recorder.clone() });
    let state = State {
        pool,
        redis,
        clock,
        browser: Browser::new(&settings)?,
        rollout,
        keyring,
        mac_keys,
        hasher,
        limiter,
        captcha,
        passkeys,
        signing,
        hub,
        feed_clients,
        audit: recorder.clone(),
        metrics: counters,
        draining: CancellationToken::new(),
        settings,
    };
    let draining = state.draining.clone();
    let (tasks, kept) = (metrics.tasks(), state.clone());
    tasks.run("housekeeping", move || {
        housekeeping::run(kept.clone(), Rounds::new(retention.clone()))
    });
    let kept = state.clone();
    tasks.run("connections", move || housekeeping::watch_connections(kept.clone()));
    let kept = state.clone();
    tasks.run("security_event_chain", move || audit::run(kept.clone()));
    let readiness = readiness(&state, keys);
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
        finish: Some(Box::pin(async move { recorder.flush().await })),
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
        .service(handlers::update_device::update_device)
        .service(handlers::remove_device::remove_device)
        // Sessions
        .service(handlers::log_in::log_in)
        .service(handlers::refresh_session::refresh_session)
        .service(handlers::log_out::log_out)
        .service(handlers::log_out_everywhere::log_out_everywhere)
        .service(handlers::list_sessions::list_sessions)
        .service(handlers::remove_session::remove_session)
        // Browsers
        .service(handlers::browser::show_csrf::show_csrf)
        .service(handlers::browser::verify_token::verify_token)
        // Sessions in browsers
        .service(handlers::browser::register::register_in_browser)
        .service(handlers::browser::log_in::log_in_browser)
        .service(handlers::browser::refresh::refresh_browser)
        .service(handlers::browser::log_out::log_out_of_browser)
        .service(handlers::browser::log_out_everywhere::log_out_everywhere)
        .service(handlers::browser::list_sessions::list_sessions)
        .service(handlers::browser::remove_session::remove_session)
        .service(handlers::browser::remove_sessions::remove_sessions)
        .service(handlers::browser::change_password::change_password)
        .service(handlers::browser::list_devices::list_devices)
        .service(handlers::browser::update_device::update_device)
        .service(handlers::browser::remove_device::remove_device)
        // Step-up and what needs it
        .service(handlers::reauthenticate::reauthenticate)
        .service(handlers::issue_api_key::issue_api_key)
        .service(handlers::list_api_keys::list_api_keys)
        .service(handlers::revoke_api_key::revoke_api_key)
        .service(handlers::change_role::change_role)
        .service(handlers::start_passkey_registration::start_passkey_registration)
        .service(handlers::finish_passkey_registration::finish_passkey_registration)
        .service(handlers::start_passkey_authentication::start_passkey_authentication)
        .service(handlers::finish_passkey_authentication::finish_passkey_authentication)
        .service(handlers::list_passkeys::list_passkeys)
        .service(handlers::remove_passkey::remove_passkey)
        // For other services
        .service(handlers::introspect_token::introspect_token)
        .service(handlers::revoke_token::revoke_token)
        // Keys
        .service(handlers::show_public_key::show_public_key)
        .service(handlers::show_jwks::show_jwks)
        .service(handlers::stream_changes::stream_changes)
        .service(handlers::show_metadata::show_metadata);
}

/// The document's title; the paths come from the route table.
fn document() -> OpenApi {
    let mut document = common::http::document(
        "Latchkey user-service",
        "Accounts, devices, sessions, access tokens and keys. Errors have one body everywhere; \
         `code` is stable.",
    );
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    let cookie = ApiKeyValue::with_description(
        "latchkey_v5_access",
        "With the prefix `__Host-` but in development, or `latchkey_v4_access` while the newer cookies are rolled \
         out, with `__Secure-`; unsafe requests send `X-CSRF-Token` as well",
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("client", basic);
    components.add_security_scheme("browser", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    document
}
