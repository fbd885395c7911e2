//! What all Latchkey services share: settings, the error body, request ids, logs, metrics, the
//! admin listener, health, the OpenAPI pages, the database pool, and draining on SIGTERM.
//!
//! A service is its own rooms and a `main.rs` that hands [`service::run`] its settings schema and
//! a function that builds a [`service::Blueprint`].

pub mod claims;
pub mod clock;
pub mod database;
pub mod device_key;
mod hidden;
pub mod housekeeping;
pub mod http;
pub mod masked;
pub mod metrics;
pub mod paging;
pub mod prepared;
pub mod readiness;
pub mod redis;
pub mod service;
pub mod settings;
pub mod tally;
pub mod tasks;
pub mod telemetry;
pub mod text;
pub mod tls;
