//! Consent, shared grants and their end, on a real Keycloak and a real PostgreSQL, over HTTP, with
//! a browser that is none.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod app;
mod consent;
mod endings;
mod issue;
mod outages;
mod outbox;
mod person;
mod races;
mod revocation;
mod waiting;
mod world;
