//! The Latchkey command line.

fn main() {}
