//! Logs: one JSON object a line on standard output, with what is personal masked; panics too.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::thread;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::masked::mask;

/// Section `log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level (`info`) or directives by target (`info,user_service=debug`).
    pub level: LogLevel,
}

/// A filter that parses.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct LogLevel(String);

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Older deployments wrote INFO, and `tracing` is content with either case. A word that is
        // no level it would take for a target, and log nothing else.
        let is_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
        if let Some(part) = text.split(',').map(str::trim).find(|part| !is_level(part)) {
            return Err(format!("`{part}` is no log level: off, error, warn, info, debug, trace"));
        }
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("not a log level or filter: {error}")),
        }
    }
}

/// What the HTTP server says of its own start and end, and of requests that are none, which anybody
/// can send; the settings may ask for more.
const QUIET: &str = "actix_server=warn,actix_http=off";

/// What panics are logged as; nothing but an `off` of its own keeps them out of the log.
const PANICS: &str = "panic";

/// Starts logging; a second call in one process (tests) changes nothing.
pub fn init(settings: &LogSettings) {
    let level = &settings.level.0;
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        // Requests are answered though nobody takes the lines: telling so would panic where
        // standard error is gone too.
        .log_internal_errors(false)
        .with_writer(|| Masked(io::stdout()))
        .with_env_filter(EnvFilter::new(format!("{QUIET},{PANICS}=error,{level}")))
        .try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// With its backtrace where `RUST_BACKTRACE` asks for one. What panics is mostly a task, which ends;
/// whoever waits for it is told by the runtime.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let backtrace = Backtrace::capture();
    let traced = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        target: PANICS,
        reason = panic.payload_as_str(),
        location = panic.location().map(tracing::field::display),
        thread = thread.name(),
        backtrace = traced.then(|| tracing::field::display(&backtrace)),
        "panicked"
    );
}

/// The one line whose addresses are the service's own, and no person's.
const LISTENING: &str = r#","message":"listening","#;

/// Takes a whole line at a time, as the subscriber writes it.
struct Masked<W>(W);

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if text.contains(LISTENING) {
            self.0.write_all(line)?;
        } else {
            self.0.write_all(mask(&text).as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str) -> String {
        let mut masked = Masked(Vec::new());
        masked.write_all(line.as_bytes()).unwrap();
        String::from_utf8(masked.0).unwrap()
    }

    #[test]
    fn every_line_but_the_one_of_our_own_addresses_is_masked() {
        let own = r#"{"level":"INFO","message":"listening","address":"127.0.0.1:8080"}"#;
        assert_eq!(written(own), own);
        let forged = r#"{"message":"a","error":"\",\"message\":\"listening\",203.0.113.77"}"#;
        assert_eq!(written(forged), forged.replace(".77", ".0/24"));
    }
}
