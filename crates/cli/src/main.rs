//! `latchkey`: keys, devices, accounts and sessions, migrations, the vault and the demo.
//!
//! Exit status: 0 done; 1 refused by the service, or failed; 64 wrong arguments or settings; 69 a
//! service is away; 74 the file with the device's key can't be used; 75 later; 77 not logged in
//! here; 130 interrupted.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command does")]

mod audit;
mod cleanup;
mod completions;
mod config;
mod demo;
mod device;
mod files;
mod import;
mod keygen;
mod migrate;
mod person;
mod progress;
mod rollout;
mod service_keys;
mod settings;
mod users;
mod vault;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use common::settings::SettingsError;

/// `EX_USAGE`, as the services have it for a wrong setting.
const USAGE: u8 = 64;

/// Logs in, chats, and operates Latchkey; without a command, a menu.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Person(person::Command),
    /// Make a service key, as PEM files
    Keygen(keygen::Arguments),
    /// Make a device's keys and sign with them
    #[command(subcommand)]
    Device(device::Command),
    /// Change the databases' tables
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Remove what is past: ended sessions, unused devices, spent nonces, retired keys
    ///
    /// Security events stay: user-service purges them itself, and `latchkey audit retention` does,
    /// which has the keys of their chain.
    Cleanup(cleanup::Arguments),
    /// Roll newer cookies out to browsers
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Look after sealed tokens and keys
    #[command(subcommand)]
    Vault(vault::Command),
    /// Verify, export, forget and purge security events
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look after accounts
    #[command(subcommand)]
    Users(users::Command),
    /// Look at files of settings
    #[command(subcommand)]
    Config(config::Command),
    /// Print every setting, for the README or as `.env.example`
    Settings(settings::Arguments),
    /// Play the main story against running services
    Demo(demo::Arguments),
    /// Print what a shell needs to complete these commands
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    match parse() {
        Ok(Some(command)) => run(command),
        Ok(None) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}

/// None where help was all that was asked for.
fn parse() -> Result<Option<Command>, ExitCode> {
    let parsed = if std::env::args_os().len() > 1 {
        Arguments::try_parse()
    } else if on_a_terminal() {
        Arguments::try_parse_from(["latchkey", "menu"])
    } else {
        print!("{}", Arguments::command().render_long_help());
        return Ok(None);
    };
    parsed.map(|arguments| Some(arguments.command)).map_err(|error| {
        let printed = error.print().is_ok();
        if printed && !error.use_stderr() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) }
    })
}

fn on_a_terminal() -> bool {
    std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
}

fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Person(person::Command::Keys { ring: Some(command), .. }) => {
            service_keys::run(&command)
        }
        Command::Person(command) => return person::run(command),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Device(command) => device::run(&command),
        Command::Migrate(command) => migrate::run(&command),
        Command::Cleanup(arguments) => cleanup::run(&arguments),
        Command::Rollout(command) => rollout::run(&command),
        Command::Vault(command) => vault::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Users(command) => users::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Settings(arguments) => {
            settings::run(&arguments);
            Ok(())
        }
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("error: {line}");
            }
            let misconfigured = error.chain().any(<dyn std::error::Error>::is::<SettingsError>);
            if misconfigured { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}
