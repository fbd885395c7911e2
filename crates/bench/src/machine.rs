//! What a run was made on.

use std::fs;

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
