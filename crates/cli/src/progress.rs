//! How far a command is: a bar on a terminal, a line each hundred rows elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EACH: u64 = 100;

#[derive(Default)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Hundreds already told.
    told: u64,
}

impl Progress {
    pub(crate) fn show(&mut self, seen: u64, total: u64) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(total));
            bar.set_position(seen.min(total));
            return;
        }
        while self.told < seen / LINE_EACH {
            self.told += 1;
            eprintln!("{} of {total} rows", self.told * LINE_EACH);
        }
    }

    /// Takes the bar away, before anything else is printed.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
