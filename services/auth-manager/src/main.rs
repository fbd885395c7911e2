//! Starts the auth-manager.

use std::process::ExitCode;

use auth_manager::{app, config};
use common::clock::Clock;

fn main() -> ExitCode {
    common::service::run(&config::SCHEMA, |settings| app::build(settings, Clock::default()))
}
