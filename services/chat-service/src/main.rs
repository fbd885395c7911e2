//! Starts the chat-service.

use std::process::ExitCode;

use chat_service::{app, config};
use common::clock::Clock;

fn main() -> ExitCode {
    common::service::run(&config::SCHEMA, |settings| app::build(settings, Clock::default()))
}
