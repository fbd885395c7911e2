//! What a service's `main` calls.

use std::process::ExitCode;

use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{AdminSettings, Blueprint, HttpSettings};
use crate::settings::{Environment, Schema, SettingsError};
use crate::telemetry::{self, LogSettings};
use crate::tls::TlsSettings;

/// Exit status for bad settings (`EX_USAGE` of sysexits).
const BAD_SETTINGS: u8 = 64;

/// What [`run`] itself needs of a service's settings.
pub trait ServiceSettings: DeserializeOwned {
    /// Section `log`.
    fn log(&self) -> &LogSettings;
    /// Section `http`.
    fn http(&self) -> &HttpSettings;
    /// Section `admin`.
    fn admin(&self) -> &AdminSettings;

    /// Section `tls`.
    fn tls(&self) -> &TlsSettings;

    /// What can be seen to be wrong without asking anybody, one line each that names the key.
    fn faults(&self) -> Vec<String>;
}

/// Reads and checks a service's settings; an error says all that is wrong at once.
pub fn load<S: ServiceSettings>(
    schema: &Schema,
    environment: &Environment,
) -> Result<S, SettingsError> {
    let (settings, mut faults) = schema.read::<S>(environment)?;
    faults.extend(settings.tls().check().err());
    faults.extend(settings.faults());
    SettingsError::of(&faults).map_or(Ok(settings), Err)
}

/// Runs a service until SIGTERM or SIGINT.
///
/// Bad settings end it with a line for each on standard error and status 64, before any port is
/// opened.
pub fn run<S, F, B>(schema: &Schema, build: F) -> ExitCode
where
    S: ServiceSettings,
    F: FnOnce(S) -> B,
    B: Future<Output = Result<Blueprint, String>>,
{
    let settings = Environment::from_process()
        .and_then(|environment| load(schema, &environment).map_err(|error| error.to_string()));
    let settings: S = match settings {
        Ok(settings) => settings,
        Err(error) => return fail(schema, &error, BAD_SETTINGS),
    };
    telemetry::init(settings.log());
    match actix_web::rt::System::new().block_on(serve(schema, settings, build)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(error)) => fail(schema, &error, BAD_SETTINGS),
        Err(Failure::Run(error)) => fail(schema, &error.to_string(), 1),
    }
}

enum Failure {
    Settings(String),
    Run(std::io::Error),
}

async fn serve<S, F, B>(schema: &Schema, settings: S, build: F) -> Result<(), Failure>
where
    S: ServiceSettings,
    F: FnOnce(S) -> B,
    B: Future<Output = Result<Blueprint, String>>,
{
    let (http, admin) = (settings.http().clone(), settings.admin().clone());
    let tls = settings.tls().clone();
    let blueprint = build(settings).await.map_err(Failure::Settings)?;
    let running = blueprint.listen(&http, &admin, &tls).map_err(Failure::Run)?;
    tracing::info!(
        service = schema.service,
        version = env!("CARGO_PKG_VERSION"),
        address = %running.address,
        admin_address = %running.admin_address,
        tls = running.tls,
        "listening"
    );
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        match asked_to_stop().await {
            Ok(()) => stopped.cancel(),
            Err(error) => tracing::error!(%error, "signals_unavailable"),
        }
    });
    running.run_until(stop).await.map_err(Failure::Run)
}

async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "logging may not have begun")]
fn fail(schema: &Schema, error: &str, status: u8) -> ExitCode {
    for line in error.lines() {
        eprintln!("{}: {line}", schema.service);
    }
    ExitCode::from(status)
}
