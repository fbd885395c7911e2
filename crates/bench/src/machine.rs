//! What a run was made on, and how steadily that runs.

use std::time::{Duration, Instant};
use std::{fs, thread};

/// Processor, cores and memory, in a sentence.
pub(crate) fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = value(&processors, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = value(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
    let gibibytes = memory.unwrap_or(0_u64) / (1024 * 1024);
    format!(
        "Measured with `cargo xtask bench` on {cores} cores ({model}), {gibibytes} GiB of memory, \
         load, services, PostgreSQL and Keycloak on one machine."
    )
}

/// What counts as a pause.
const PAUSE: Duration = Duration::from_millis(1);
/// How long pauses are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// How long and how often the machine, with nothing of ours running, takes a core away from who
/// computes on it: no latency of a program can be steadier. For a thread that may block.
pub(crate) fn describe_pauses() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let spinning: Vec<_> = (0..cores).map(|_| thread::spawn(spin)).collect();
    let pauses: Vec<Duration> =
        spinning.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect();
    let longest = pauses.iter().max().copied().unwrap_or_default();
    let lost = pauses.iter().sum::<Duration>().as_secs_f64() / LOOK.as_secs_f64();
    format!(
        "the machine alone pauses its cores {} times in {} s, up to {:.1} ms, {:.1} % of the time",
        pauses.len(),
        LOOK.as_secs(),
        longest.as_secs_f64() * 1e3,
        lost * 100.0,
    )
}

fn spin() -> Vec<Duration> {
    let (start, mut last, mut pauses) = (Instant::now(), Instant::now(), Vec::new());
    while start.elapsed() < LOOK {
        let now = Instant::now();
        pauses.extend(Some(now - last).filter(|gap| *gap >= PAUSE));
        last = now;
    }
    pauses
}
