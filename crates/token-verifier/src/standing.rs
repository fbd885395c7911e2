use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use common::clock::Clock;

/// Whether what we know of revocations is fresh enough to judge by.
pub(crate) struct Standing {
    clock: Clock,
    stale_limit: Duration,
    state: RwLock<State>,
}

enum State {
    /// Static keys: there is no feed to be behind of.
    Unfollowed,
    /// Before the first replay, or after a reset.
    Behind,
    /// At the feed's head, then. The wall clock counts too: a monotonic one stands still while
    /// the machine sleeps.
    Heard { at: Instant, time: DateTime<Utc> },
}

impl Standing {
    pub(crate) fn new(clock: Clock, stale_limit: Duration, followed: bool) -> Self {
        let state = if followed { State::Behind } else { State::Unfollowed };
        Self { clock, stale_limit, state: RwLock::new(state) }
    }

    /// The reason, for operators, why nothing can be judged.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let (at, time) = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unfollowed => return Ok(()),
            State::Behind => return Err("the change feed has not been replayed yet"),
            State::Heard { at, time } => (*at, *time),
        };
        let by_the_wall = (self.clock.now() - time).to_std().unwrap_or_default();
        if at.elapsed().max(by_the_wall) <= self.stale_limit {
            Ok(())
        } else {
            Err("the change feed has been silent for longer than the stale limit")
        }
    }

    /// The feed, at its head, said something.
    pub(crate) fn hear(&self) {
        self.set(State::Heard { at: Instant::now(), time: self.clock.now() });
    }

    /// The feed starts over: until it has caught up nothing is known.
    pub(crate) fn fall_behind(&self) {
        self.set(State::Behind);
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn trust_lasts_from_the_last_word_to_the_stale_limit() {
        let clock = Clock::default();
        let standing = Standing::new(clock.clone(), Duration::from_secs(30), true);
        assert!(standing.check().is_err());
        standing.hear();
        clock.turn(TimeDelta::seconds(29));
        assert_eq!(standing.check(), Ok(()));
        clock.turn(TimeDelta::seconds(2));
        assert!(standing.check().is_err());
        standing.hear();
        clock.turn(TimeDelta::hours(-1));
        assert_eq!(standing.check(), Ok(()));
        standing.fall_behind();
        assert!(standing.check().is_err());
    }
}
