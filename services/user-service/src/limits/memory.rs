use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use futures_util::future::{BoxFuture, ready};

use super::window::Window;
use super::{Limit, LimitKey, RateLimiter, Rules, limited};
use crate::error::Error;

/// What no longer matters is forgotten once in so many checks.
const SWEEP_EVERY: usize = 1024;

/// Counts in this process's memory.
pub struct MemoryLimiter {
    rules: Rules,
    clock: Clock,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    by_key: HashMap<(Limit, LimitKey), Window>,
    checks: usize,
}

impl MemoryLimiter {
    /// With the limits of the settings.
    #[must_use]
    pub fn new(rules: Rules, clock: Clock) -> Self {
        Self { rules, clock, windows: Mutex::default() }
    }

    fn count(&self, limit: Limit, key: LimitKey, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.checks += 1;
        if windows.checks.is_multiple_of(SWEEP_EVERY) {
            windows.by_key.retain(|(limit, _), window| {
                let rule = self.rules.of(*limit);
                let last = window.events.last().copied().unwrap_or_default();
                window.expires_at(rule, last) > now
            });
        }
        windows.by_key.entry((limit, key)).or_default().count(self.rules.of(limit), now)
    }
}

impl RateLimiter for MemoryLimiter {
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(self.count(limit, key, self.clock.now()).map_err(limited)))
    }

    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.by_key.get(&(limit, key));
        let wait = window.and_then(|window| window.wait(self.rules.of(limit), self.clock.now()));
        Box::pin(ready(Ok(wait.and_then(|wait| wait.to_std().ok()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_limited_and_another_is_not() {
        let (allowed, window) = (2, TimeDelta::hours(1));
        let limiter = MemoryLimiter::new(Rules::all(allowed, window), Clock::default());
        let address = |text: &str| LimitKey::Address(text.parse().unwrap());
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        let now = Clock::default().now();
        assert!(limiter.count(Limit::Register, one, now).is_ok());
        assert!(limiter.count(Limit::Register, one, now).is_ok());
        assert_eq!(limiter.count(Limit::Register, one, now), Err(window));
        assert!(limiter.count(Limit::Register, two, now).is_ok());
        assert!(limiter.count(Limit::Login, one, now).is_ok());
    }

    #[test]
    fn what_no_longer_matters_is_forgotten() {
        let limiter = MemoryLimiter::new(Rules::all(2, TimeDelta::minutes(1)), Clock::default());
        let now = Clock::default().now();
        for number in 0..1023_u128 {
            let key = LimitKey::Id(uuid::Uuid::from_u128(number));
            limiter.count(Limit::DeviceLogin, key, now).unwrap();
        }
        let later = now + TimeDelta::minutes(2);
        limiter.count(Limit::DeviceLogin, uuid::Uuid::nil().into(), later).unwrap();
        assert_eq!(limiter.windows.lock().unwrap().by_key.len(), 1);
    }
}
