//! Limits by address, account and device, behind a small port that other stores can take over.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use uuid::Uuid;

use crate::config::LimitSettings;
use crate::error::Error;

/// Idle keys are forgotten once in so many checks.
const SWEEP_EVERY: u32 = 1024;

type Bucket = DefaultKeyedRateLimiter<LimitKey>;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Registrations of accounts.
    Register,
    /// Registrations of devices.
    RegisterDevice,
    /// Checks of a password by address, logins and others.
    Login,
    /// Logins whose proof holds, by device.
    DeviceLogin,
    /// Checks of the current password for changes that need it, by account.
    PasswordCheck,
}

/// Whose doings are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// An address, or the network that counts as one.
    Address(IpAddr),
    /// An account or a device.
    Id(Uuid),
}

impl From<IpAddr> for LimitKey {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl From<Uuid> for LimitKey {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

/// Counts and refuses; [`Error::RateLimited`] says when to come back.
pub trait RateLimiter: Send + Sync {
    /// Counts one more by `key`.
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>>;
}

/// Counts in this process's memory.
pub struct MemoryLimiter {
    register: Bucket,
    register_device: Bucket,
    login: Bucket,
    device_login: Bucket,
    password_check: Bucket,
    checks: AtomicU32,
}

impl MemoryLimiter {
    /// With the limits of the settings, each at least one.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let per_hour = |count| Bucket::keyed(Quota::per_hour(at_least_one(count)));
        let per_minute = |count| Bucket::keyed(Quota::per_minute(at_least_one(count)));
        Self {
            register: per_hour(settings.registrations_per_hour),
            register_device: per_hour(settings.device_registrations_per_hour),
            login: per_minute(settings.logins_per_minute),
            device_login: per_hour(settings.logins_per_device_per_hour),
            password_check: per_hour(settings.password_checks_per_hour),
            checks: AtomicU32::new(0),
        }
    }

    fn bucket(&self, limit: Limit) -> &Bucket {
        match limit {
            Limit::Register => &self.register,
            Limit::RegisterDevice => &self.register_device,
            Limit::Login => &self.login,
            Limit::DeviceLogin => &self.device_login,
            Limit::PasswordCheck => &self.password_check,
        }
    }

    fn count(&self, limit: Limit, key: LimitKey) -> Result<(), Duration> {
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
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
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
            logins_per_device_per_hour: 1,
            password_checks_per_hour: 1,
            sessions_per_user: 1,
            unbound_devices: 1,
            recent_sign_in: common::settings::Period(Duration::ZERO),
        };
        let limiter = MemoryLimiter::new(&settings);
        let address = |text: &str| LimitKey::Address(text.parse().unwrap());
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        assert!(limiter.count(Limit::Register, one).is_ok());
        assert!(limiter.count(Limit::Register, one).is_ok());
        let wait = limiter.count(Limit::Register, one).unwrap_err();
        assert!(wait > Duration::from_secs(1700) && wait <= Duration::from_mins(30), "{wait:?}");
        assert!(limiter.count(Limit::Register, two).is_ok());
        assert!(limiter.count(Limit::Login, one).is_ok());
    }
}
