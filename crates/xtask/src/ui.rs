//! What a person reads: a line for each thing done, and progress where it takes a while.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this is for")]

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// A line.
pub fn say(line: &str) {
    println!("{line}");
}

/// What went wrong, with its causes, on standard error.
pub fn fail(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Whether a person is watching.
#[must_use]
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Something that takes a while: a spinner on a terminal, else a line at its start.
pub struct Progress {
    what: String,
    bar: Option<ProgressBar>,
    quarters: u64,
    started: Instant,
}

impl Progress {
    /// Begins.
    #[must_use]
    pub fn start(what: &str) -> Self {
        let bar = is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            say(&format!("{what} …"));
        }
        Self { what: what.to_owned(), bar, quarters: 0, started: Instant::now() }
    }

    /// How far it is, in bytes; without a terminal a line for each quarter.
    pub fn advance(&mut self, done: u64, total: u64) {
        let Some(quarters) = (4 * done).checked_div(total) else { return };
        let line = format!("{} {} of {} MB", self.what, done / 1_000_000, total / 1_000_000);
        if let Some(bar) = &self.bar {
            bar.set_message(line);
        } else if quarters > self.quarters {
            say(&line);
        }
        self.quarters = quarters;
    }

    /// Ends with a line that says how long it took.
    pub fn done(self, what: &str) {
        let line = format!("{what} ({:.1} s)", self.started.elapsed().as_secs_f64());
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(&line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
