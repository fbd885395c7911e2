//! Starts the user-service.

use std::process::ExitCode;

use common::clock::Clock;
use user_service::{app, config};

fn main() -> ExitCode {
    common::service::run(&config::SCHEMA, |settings| app::build(settings, Clock::default()))
}
