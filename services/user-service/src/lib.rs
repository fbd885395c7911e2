//! Issuer of a chat system's sign-in: accounts, devices, sessions, access tokens with a key id
//! per device, rotating refresh tokens, JWKS and the change feed.

mod api_keys;
pub mod app;
pub mod audit;
mod browser;
mod captcha;
pub mod config;
mod devices;
mod error;
mod failpoint;
mod feed;
mod handlers;
pub mod housekeeping;
pub mod import;
mod limits;
mod login;
mod metrics;
pub mod models;
mod passkeys;
mod passwords;
mod readiness;
pub mod roles;
pub mod rollout;
mod schema;
mod sealed_columns;
pub mod service_keys;
mod sessions;
mod signing;
mod state;
mod step_up;
mod versioned_keys;

pub use error::Error;
pub use sealed_columns::SEALED_COLUMNS;
pub use signing::pem;

/// The steps that build the service's tables.
pub const MIGRATIONS: diesel_migrations::EmbeddedMigrations =
    diesel_migrations::embed_migrations!("../../migrations/user-service");
