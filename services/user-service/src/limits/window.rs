use chrono::{DateTime, TimeDelta, Utc};

/// Each time that a limit is reached again the wait doubles, so many times at most.
pub(super) const DOUBLINGS: i32 = 3;
/// A key that stays away for so many windows after its last wait begins anew.
pub(super) const FORGIVEN_AFTER: i32 = 4;

/// How much is allowed in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allowed: usize,
    pub(super) window: TimeDelta,
}

impl Rule {
    /// How long there is to wait, if at all. A clock stepped back leaves times of the future, which
    /// must not block for ever.
    pub(super) fn wait_until(self, until: DateTime<Utc>, now: DateTime<Utc>) -> Option<TimeDelta> {
        let wait = until - now;
        (wait > TimeDelta::zero() && wait <= self.longest()).then_some(wait)
    }

    /// No wait is longer.
    pub(super) fn longest(self) -> TimeDelta {
        self.window * (1 << DOUBLINGS)
    }
}

/// What is remembered of one key: a sliding window and how often it was full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// What was allowed within the window, oldest first.
    pub events: Vec<DateTime<Utc>>,
    /// How often the limit was reached.
    pub strikes: i32,
    /// Until when everything is refused.
    pub blocked_until: Option<DateTime<Utc>>,
}

impl Window {
    /// Counts one more at `now`, or answers how long to wait. What is refused counts for nothing,
    /// so that waiting as long as was said is enough.
    pub(super) fn count(&mut self, rule: Rule, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let forgotten = |until: DateTime<Utc>| now - until >= rule.window * FORGIVEN_AFTER;
        if self.blocked_until.is_some_and(forgotten) {
            *self = Self::default();
        }
        if let Some(wait) = self.blocked(rule, now) {
            return Err(wait);
        }
        self.events.retain(|time| (now - *time).abs() < rule.window);
        if self.events.len() < rule.allowed {
            self.events.push(now);
            return Ok(());
        }
        let wait = self.growing(rule, self.events[self.events.len() - rule.allowed], now);
        self.strikes = (self.strikes + 1).min(DOUBLINGS);
        self.blocked_until = Some(now + wait);
        Err(wait)
    }

    /// How long one more at `now` would have to wait, if at all.
    pub(super) fn wait(&self, rule: Rule, now: DateTime<Utc>) -> Option<TimeDelta> {
        let within = |time: &&DateTime<Utc>| (now - **time).abs() < rule.window;
        let mut newest = self.events.iter().rev().filter(within);
        let last = newest.nth(rule.allowed - 1);
        self.blocked(rule, now).or_else(|| last.map(|last| self.growing(rule, *last, now)))
    }

    /// Until `event` has left the window, and longer each time.
    fn growing(&self, rule: Rule, event: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
        let frees = event + rule.window - now;
        (frees * (1 << self.strikes.clamp(0, DOUBLINGS))).min(rule.longest())
    }

    fn blocked(&self, rule: Rule, now: DateTime<Utc>) -> Option<TimeDelta> {
        rule.wait_until(self.blocked_until?, now)
    }

    /// When nothing of it matters any more.
    pub(super) fn expires_at(&self, rule: Rule, now: DateTime<Utc>) -> DateTime<Utc> {
        let after = |until: DateTime<Utc>| until + rule.window * FORGIVEN_AFTER;
        self.blocked_until.map_or(now, after).max(now + rule.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { allowed: 2, window: TimeDelta::minutes(10) };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
    }

    #[test]
    fn the_window_slides() {
        let mut window = Window::default();
        assert_eq!(window.count(RULE, at(0)), Ok(()));
        assert_eq!(window.count(RULE, at(6)), Ok(()));
        assert_eq!(window.count(RULE, at(7)), Err(TimeDelta::minutes(3)));
        assert_eq!(window.count(RULE, at(9)), Err(TimeDelta::minutes(1)));
        // The first has left it, the second has not.
        assert_eq!(window.count(RULE, at(10)), Ok(()));
        assert!(window.count(RULE, at(11)).is_err());
    }

    #[test]
    fn a_look_counts_nothing_and_says_what_one_more_would_have_to_wait() {
        let mut window = Window::default();
        assert_eq!(window.wait(RULE, at(0)), None);
        for minute in [0, 6, 10, 16, 17] {
            let (seen, mut counted) = (window.wait(RULE, at(minute)), window.clone());
            assert_eq!(counted.count(RULE, at(minute)).err(), seen, "{minute}");
            window = counted;
        }
        assert!(window.wait(RULE, at(17)).is_some());
        assert_eq!(window.wait(RULE, at(26)), None);
    }

    #[test]
    fn waits_grow_with_each_time_the_limit_is_reached_and_shrink_with_none() {
        let (mut window, mut now) = (Window::default(), at(0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            while window.count(RULE, now).is_ok() {}
            let wait = window.count(RULE, now).unwrap_err();
            waits.push(wait.num_minutes());
            now += wait;
        }
        assert_eq!(waits, [10, 20, 40, 80, 80, 80]);
        now += RULE.window * FORGIVEN_AFTER;
        while window.count(RULE, now).is_ok() {}
        assert_eq!(window.count(RULE, now), Err(RULE.window));
    }

    #[test]
    fn a_clock_stepped_back_blocks_nobody_for_ever() {
        let mut window = Window::default();
        while window.count(RULE, at(10_000)).is_ok() {}
        assert_eq!(window.count(RULE, at(0)), Ok(()));
    }

    #[test]
    fn what_expires_would_count_for_nothing() {
        let mut window = Window::default();
        while window.count(RULE, at(0)).is_ok() {}
        let expired = window.expires_at(RULE, at(0));
        assert_eq!(expired, at(50));
        let mut fresh = Window::default();
        assert_eq!(window.count(RULE, expired), fresh.count(RULE, expired));
        assert_eq!(window, fresh);
    }
}
