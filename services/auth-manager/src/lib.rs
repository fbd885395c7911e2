//! The vault: people's grants at Keycloak and other providers, sealed in PostgreSQL, turned into
//! access tokens on demand.
//!
//! A draw's way: `handlers/draw_access_token.rs` parses and answers; `callers/` says who asks;
//! `vault/draw.rs` finds the grant and answers what is stored while it is fresh; where it is not,
//! `vault/lease.rs` makes one caller of many ask the provider through `providers/`, and what comes
//! back is stored before anyone is answered.

pub mod app;
mod callers;
pub mod config;
mod error;
mod forgotten;
mod handlers;
pub mod housekeeping;
pub mod import;
mod keycloak;
pub mod metrics;
pub mod models;
pub mod providers;
mod schema;
mod sessions;
mod state;
pub mod vault;

pub use error::Error;
pub use sessions::{UnlinkedAll, unlink_all};

/// The steps that build the service's tables.
pub const MIGRATIONS: diesel_migrations::EmbeddedMigrations =
    diesel_migrations::embed_migrations!("../../migrations/auth-manager");
