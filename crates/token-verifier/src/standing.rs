use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use common::clock::Clock;

/// Whether what we know of revocations is fresh enough to judge by.
pub(crate) struct Standing {
    clock: Clock,
    stale_limit: Duration,
    /// Static keys have no feed to be behind of.
    followed: bool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// False before the first replay, and from a reset to the end of its replay.
    at_head: bool,
    /// When the feed, at its head, said something last. The wall clock counts too: a monotonic
    /// one stands still while the machine sleeps.
    heard: Option<(Instant, DateTime<Utc>)>,
    /// Why nobody speaks to us now.
    lost: Option<String>,
}

impl Standing {
    pub(crate) fn new(clock: Clock, stale_limit: Duration, followed: bool) -> Self {
        Self { clock, stale_limit, followed, state: RwLock::default() }
    }

    /// The reason, for operators, why nothing can be judged.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.followed && !self.read().at_head {
            return Err("the change feed has not been replayed yet");
        }
        self.check_live()
    }

    /// The same for what was accepted already, which a reset alone, over in a moment, does not end.
    pub(crate) fn check_live(&self) -> Result<(), &'static str> {
        let heard = self.read().heard;
        let fresh = heard.is_some_and(|(at, time)| {
            let by_the_wall = (self.clock.now() - time).to_std().unwrap_or_default();
            at.elapsed().max(by_the_wall) <= self.stale_limit
        });
        if fresh || !self.followed {
            Ok(())
        } else {
            Err("the change feed has been silent for longer than the stale limit")
        }
    }

    /// Why the feed is lost, where it is.
    pub(crate) fn lost(&self) -> Option<String> {
        self.read().lost.clone()
    }

    /// The feed, at its head, said something.
    pub(crate) fn hear(&self) {
        let heard = Some((Instant::now(), self.clock.now()));
        *self.write() = State { at_head: true, heard, lost: None };
    }

    /// The feed can't be heard; what was heard is good for a while.
    pub(crate) fn lose(&self, reason: &str) {
        self.write().lost = Some(reason.to_owned());
    }

    /// The feed starts over: until it has caught up nothing is known.
    pub(crate) fn fall_behind(&self) {
        self.write().at_head = false;
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(standing.check_live(), Ok(()));
        clock.turn(TimeDelta::hours(2));
        assert!(standing.check_live().is_err());
    }
}
