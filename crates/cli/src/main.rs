//! `latchkey`: keys, devices, migrations, the vault and the demo.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command does")]

mod demo;
mod device;
mod files;
mod import;
mod keygen;
mod migrate;
mod progress;
mod settings;
mod vault;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Operates Latchkey.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a service key, as PEM files
    Keygen(keygen::Arguments),
    /// Make a device's keys and sign with them
    #[command(subcommand)]
    Device(device::Command),
    /// Change the databases' tables
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Look after sealed tokens and keys
    #[command(subcommand)]
    Vault(vault::Command),
    /// Print every setting, for the README or as `.env.example`
    Settings(settings::Arguments),
    /// Play the main story against running services
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Device(command) => device::run(&command),
        Command::Migrate(command) => migrate::run(&command),
        Command::Vault(command) => vault::run(&command),
        Command::Settings(arguments) => {
            settings::run(&arguments);
            Ok(())
        }
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
