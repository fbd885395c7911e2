//! Services as a deployment has them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod client;
mod logs;
mod older_tokens;
mod processes;
mod replicas;
mod service_keys;
mod stories;
mod tls;
mod vault_story;
