//! user-service and three chat-services, as a deployment has them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod client;
mod older_tokens;
mod processes;
mod replicas;
