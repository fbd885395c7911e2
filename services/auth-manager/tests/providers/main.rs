//! The provider side on a real Keycloak: every call, every way in which it fails, and what is then
//! said to the caller, to the row and to the operator.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod away;
mod breaker;
mod codes;
mod connections;
mod discovery;
mod file;
mod grants;
mod keys;
mod local;
mod log;
mod logout_tokens;
mod oauth2;
mod outcomes;
mod realm_keys;
mod refused_draws;
mod service;
mod sessions;
mod stand_in;
mod stopped;
mod tls;
mod world;
