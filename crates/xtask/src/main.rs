//! Runs, tests and measures Latchkey.

fn main() {}
