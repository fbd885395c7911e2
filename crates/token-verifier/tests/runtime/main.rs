//! The verifier against an issuer over real HTTP.
#![expect(clippy::unwrap_used, reason = "these are tests, fixtures included")]

mod extractor;
mod feed;
mod hostile;
mod issuer;
mod key_server;
mod keys;
mod revoked;
mod tokens;
