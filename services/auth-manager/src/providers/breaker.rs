use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

/// While a probe is under way others are told to come back after this.
const WHILE_PROBED: Duration = Duration::from_secs(1);

/// Leaves a provider alone that failed so many times in a row; after a pause one call at a time
/// tries whether it is back.
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    state: Mutex<State>,
    open: IntGauge,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// Leave to call. Dropped without a verdict, it leaves the count as it is.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    judged: bool,
}

impl Breaker {
    /// Opens after `failures` in a row, for `pause`.
    pub(super) fn new(failures: u32, pause: Duration, open: IntGauge) -> Self {
        open.set(0);
        let state = Mutex::new(State::Closed { failures: 0 });
        Self { failures: failures.max(1), pause, state, open }
    }

    /// Leave to call now, or how long to wait.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        if let Some(left) = state.refusal() {
            return Err(left);
        }
        let probe = matches!(*state, State::Open { .. });
        if probe {
            *state = State::Probing;
        }
        Ok(Permit { breaker: self, probe, judged: false })
    }

    /// How long to wait, where there is no leave to call now.
    pub(super) fn refusal(&self) -> Option<Duration> {
        self.lock().refusal()
    }

    /// Whether calls are refused, but for a probe.
    pub(super) fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: &mut State, new: State) {
        *state = new;
        self.open.set(i64::from(!matches!(new, State::Closed { .. })));
    }
}

impl State {
    fn refusal(self) -> Option<Duration> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                (!left.is_zero()).then_some(left)
            }
            Self::Probing => Some(WHILE_PROBED),
        }
    }
}

impl Permit<'_> {
    /// The provider answered.
    pub(super) fn succeed(mut self) {
        self.judged = true;
        let mut state = self.breaker.lock();
        // A call that began before the breaker opened proves nothing about now.
        if self.probe || matches!(*state, State::Closed { .. }) {
            self.breaker.set(&mut state, State::Closed { failures: 0 });
        }
    }

    /// It did not.
    pub(super) fn fail(mut self) {
        self.judged = true;
        let mut state = self.breaker.lock();
        let open = State::Open { until: Instant::now() + self.breaker.pause };
        match *state {
            State::Closed { failures } if failures + 1 < self.breaker.failures => {
                *state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => self.breaker.set(&mut state, open),
            State::Probing if self.probe => self.breaker.set(&mut state, open),
            State::Open { .. } | State::Probing => {}
        }
    }
}

impl Drop for Permit<'_> {
    /// Whoever asked went away: the next caller probes in its place.
    fn drop(&mut self) {
        if self.probe && !self.judged {
            *self.breaker.lock() = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn breaker() -> Breaker {
        Breaker::new(3, PAUSE, IntGauge::new("open", "open").unwrap())
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().ok().unwrap().fail();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.admit().ok().unwrap().succeed();
        fail(&breaker, 2);
        assert!(breaker.admit().is_ok());
        fail(&breaker, 1);
        assert_eq!(breaker.admit().err(), Some(PAUSE));
        assert_eq!(breaker.open.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_one_call_at_a_time_tries() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(PAUSE).await;
        let probe = breaker.admit().ok().unwrap();
        assert_eq!(breaker.admit().err(), Some(WHILE_PROBED));
        probe.fail();
        assert_eq!(breaker.admit().err(), Some(PAUSE));
        tokio::time::advance(PAUSE).await;
        breaker.admit().ok().unwrap().succeed();
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.open.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_abandoned_is_followed_by_another() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(PAUSE).await;
        drop(breaker.admit());
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_from_before_it_opened_does_not_close_it() {
        let breaker = breaker();
        let late = breaker.admit().ok().unwrap();
        fail(&breaker, 3);
        late.succeed();
        assert!(breaker.admit().is_err());
    }
}
