//! What the service writes to its log, kept for tests to read.

use std::io::{self, Write};
use std::sync::{Mutex, Once};

use serde_json::Value;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep it, as the service writes it.
pub(crate) fn start() {
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter("info")
            .with_writer(|| Kept)
            .init();
    });
}

/// The entries with `text` in them.
pub(crate) fn entries(text: &str) -> Vec<Value> {
    let lines = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    let found = lines.lines().filter(|line| line.contains(text));
    found.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether there is an entry with this message and all of `texts` in it.
pub(crate) fn says(message: &str, texts: &[&str]) -> bool {
    entries(message).iter().any(|entry| {
        let line = entry.to_string();
        entry["message"] == message && texts.iter().all(|text| line.contains(text))
    })
}
