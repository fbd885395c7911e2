//! What a person does with `latchkey`, against the real services.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod answers;
mod browser;
mod browser_walk;
mod commands;
mod file;
mod menu;
mod support;
mod terminal;
