//! Draws on a real Keycloak and a real PostgreSQL, by several processes at once, with everything
//! going wrong between them that can.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod breaker;
mod crashes;
mod endpoints;
mod faults;
mod fresh;
mod ledger;
mod lookups;
mod permissions;
mod process;
mod realm;
mod revoking;
mod service;
mod silent;
mod world;
