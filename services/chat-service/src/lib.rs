//! Rooms, messages and live delivery behind Latchkey access tokens.
//!
//! A message's way: `handlers/send_message.rs` parses and answers; `rooms/send.rs` numbers and
//! stores it in one transaction, which also notifies every replica; there `live/hub.rs` reads it
//! once, with the members among the room's subscribers, and puts it into their mailboxes; each
//! `live/connection.rs` sends it where it comes next, and reads from the database where it does
//! not.

pub mod app;
pub mod config;
mod error;
mod handlers;
pub mod housekeeping;
mod live;
mod metrics;
pub mod models;
mod rooms;
mod schema;
mod state;

pub use error::Error;

/// The steps that build the service's tables.
pub const MIGRATIONS: diesel_migrations::EmbeddedMigrations =
    diesel_migrations::embed_migrations!("../../migrations/chat-service");
