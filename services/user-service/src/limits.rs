//! Limits by address, behind a small port that other stores can take over.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::config::LimitSettings;
use crate::error::Error;

/// Idle addresses are forgotten once in so many checks.
const SWEEP_EVERY: u32 = 1024;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Registrations of accounts.
    Register,
    /// Registrations of devices.
    RegisterDevice,
    /// Login attempts.
    Login,
}

/// Counts and refuses; [`Error::RateLimited`] says when to come back.
pub trait RateLimiter: Send + Sync {
    /// Counts one more by `key`.
    fn check(&self, limit: Limit, key: IpAddr) -> BoxFuture<'_, Result<(), Error>>;
}

/// Counts in this process's memory.
pub struct MemoryLimiter {
    register: DefaultKeyedRateLimiter<IpAddr>,
    register_device: DefaultKeyedRateLimiter<IpAddr>,
    login: DefaultKeyedRateLimiter<IpAddr>,
    checks: AtomicU32,
}

impl MemoryLimiter {
    /// With the limits of the settings, each at least one.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let per_hour = |count| DefaultKeyedRateLimiter::keyed(Quota::per_hour(at_least_one(count)));
        Self {
            register: per_hour(settings.registrations_per_hour),
            register_device: per_hour(settings.device_registrations_per_hour),
            login: DefaultKeyedRateLimiter::keyed(Quota::per_minute(at_least_one(
                settings.logins_per_minute,
            ))),
            checks: AtomicU32::new(0),
        }
    }

    fn bucket(&self, limit: Limit) -> &DefaultKeyedRateLimiter<IpAddr> {
        match limit {
            Limit::Register => &self.register,
            Limit::RegisterDevice => &self.register_device,
            Limit::Login => &self.login,
        }
    }

    fn count(&self, limit: Limit, key: IpAddr) -> Result<(), Duration> {
        let bucket = self.bucket(limit);
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            bucket.retain_recent();
        }
        bucket
            .check_key(&key)
            .map_err(|denied| denied.wait_time_from(DefaultClock::default().now()))
    }
}

impl RateLimiter for MemoryLimiter {
    fn check(&self, limit: Limit, key: IpAddr) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(self.count(limit, key).map_err(Error::RateLimited)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_limited_and_another_is_not() {
        let settings = LimitSettings {
            registration_open: true,
            registrations_per_hour: 2,
            device_registrations_per_hour: 1,
            logins_per_minute: 1,
            unbound_devices: 1,
            recent_sign_in: common::settings::Period(Duration::ZERO),
        };
        let limiter = MemoryLimiter::new(&settings);
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(limiter.count(Limit::Register, one).is_ok());
        assert!(limiter.count(Limit::Register, one).is_ok());
        let wait = limiter.count(Limit::Register, one).unwrap_err();
        assert!(wait > Duration::from_secs(1700) && wait <= Duration::from_mins(30), "{wait:?}");
        assert!(limiter.count(Limit::Register, two).is_ok());
        assert!(limiter.count(Limit::Login, one).is_ok());
    }
}
