//! `cargo xtask up | demo | test | bench`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, demo, test, up};

/// Runs, shows and tests Latchkey.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start PostgreSQL, migrate, build and run every service until Ctrl-C
    Up {
        /// Throw the data of earlier runs away
        #[arg(long)]
        fresh: bool,
        /// Start Redis as well, which the services then share limits and more through
        #[arg(long)]
        redis: bool,
    },
    /// Play the main story against running services
    Demo {
        /// Passed on to `latchkey demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check formatting, lint, test and build the documentation
    Test {
        /// Say instead how much of the vault's code its tests reach; less than 80 % is an error
        #[arg(long)]
        coverage: bool,
        /// Let the services of all tests use Redis
        #[arg(long)]
        redis: bool,
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure release builds; the table goes to standard output
    Bench {
        /// What to measure, `--check` or `--write`; `--help` explains
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up { fresh, redis } => up::up(fresh, redis).await,
        Command::Demo { arguments } => demo::run_demo(&arguments).await,
        Command::Test { coverage, redis, arguments } => {
            test::test(coverage, redis, &arguments).await
        }
        Command::Bench { arguments } => bench::bench(&arguments).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::ui::fail(&error);
            ExitCode::FAILURE
        }
    }
}
