//! Two pieces of computation against each other.

use std::time::{Duration, Instant};

const ROUNDS: usize = 21;

/// What one call of each takes: the median of interleaved rounds, so that a busy moment of the
/// machine meets both.
pub(crate) fn compare(
    calls: u32,
    mut one: impl FnMut(),
    mut other: impl FnMut(),
) -> (Duration, Duration) {
    let mut rounds = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
    for _ in 0..ROUNDS {
        rounds[0].push(time(calls, &mut one));
        rounds[1].push(time(calls, &mut other));
    }
    let [one, other] = rounds.map(|mut taken| {
        taken.sort_unstable();
        taken[ROUNDS / 2] / calls
    });
    (one, other)
}

fn time(calls: u32, call: &mut impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..calls {
        call();
    }
    started.elapsed()
}

/// Microseconds of a duration.
pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
