//! Drives the real service on a real PostgreSQL, through every endpoint.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod catching_up;
mod contract;
mod hostile;
mod issuer;
mod live;
mod membership;
mod messages;
mod migrations;
mod presence;
mod process;
mod replicas;
mod rooms;
mod socket;
mod step_up;
mod support;
mod websocket;
