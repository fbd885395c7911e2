//! The service as people's browsers and their provider see it, on a real Keycloak.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod accounts;
mod callers;
mod contract;
mod hostile;
mod logout;
mod offline;
mod online_grants;
mod openid;
mod replicas;
mod sessions;
mod sign_in;
mod support;
