//! Limits by address, account, username and device, behind one small port.
//!
//! A limit is a sliding window whose waits grow; where the windows are kept is the store's matter.
//! Rotations alone are counted in the session's own row, in the statement that rotates.

mod counted;
mod memory;
mod postgres;
mod redis;
mod window;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::database::Pool;
use common::redis::Redis;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use counted::Counted;
pub use memory::MemoryLimiter;
pub use postgres::PostgresLimiter;
use redis::RedisLimiter;
use window::Rule;
pub use window::Window;

use crate::config::{LimitSettings, LimitStore, Settings};
use crate::error::Error;
use crate::metrics::ServiceMetrics;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Registrations of accounts.
    Register,
    /// Registrations of devices.
    RegisterDevice,
    /// Checks of a password by address, logins and others.
    Login,
    /// Logins whose proof holds, by the username, on devices that are not yet that user's.
    Username,
    /// Logins whose proof holds, by device.
    DeviceLogin,
    /// Checks of the current password for changes that need it, by account.
    PasswordCheck,
    /// Logins that failed, by the username, on all devices and browsers.
    LoginFailure,
    /// Logins behind a CAPTCHA, by the username, in browsers that are not yet that user's.
    SolvedLogin,
}

/// So many times the logins of [`Limit::Username`] go behind CAPTCHAs.
const SOLVED_LOGINS: u32 = 5;

impl Limit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::RegisterDevice => "register_device",
            Self::Login => "login",
            Self::Username => "username",
            Self::DeviceLogin => "device_login",
            Self::PasswordCheck => "password_check",
            Self::LoginFailure => "login_failure",
            Self::SolvedLogin => "solved_login",
        }
    }
}

/// Whose doings are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// An address, or the network that counts as one.
    Address(IpAddr),
    /// An account or a device.
    Id(Uuid),
    /// SHA-256 of a username, whether or not there is such a user.
    Name([u8; 32]),
}

impl LimitKey {
    /// Of a username in the form that uniqueness goes by.
    #[must_use]
    pub fn name(username_key: &str) -> Self {
        Self::Name(Sha256::digest(username_key).into())
    }

    /// What the key is stored under for `limit`.
    pub(crate) fn digest(self, limit: Limit) -> [u8; 32] {
        let hash = Sha256::new().chain_update(limit.as_str());
        match self {
            Self::Address(address) => {
                hash.chain_update("/address/").chain_update(address.to_string())
            }
            Self::Id(id) => hash.chain_update("/id/").chain_update(id.as_bytes()),
            Self::Name(name) => hash.chain_update("/name/").chain_update(name),
        }
        .finalize()
        .into()
    }
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

/// How much of each is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    register: Rule,
    register_device: Rule,
    login: Rule,
    username: Rule,
    device_login: Rule,
    password_check: Rule,
    login_failure: Rule,
    solved_login: Rule,
}

impl Rules {
    /// Those of the settings, each at least one; `login_failures` in an hour.
    #[must_use]
    pub fn new(settings: &LimitSettings, login_failures: u32) -> Self {
        let rule = |count: u32, window| Rule {
            allowed: usize::try_from(count.max(1)).unwrap_or(usize::MAX),
            window,
        };
        let per_hour = |count| rule(count, TimeDelta::hours(1));
        Self {
            register: per_hour(settings.registrations_per_hour),
            register_device: per_hour(settings.device_registrations_per_hour),
            login: rule(settings.logins_per_minute, TimeDelta::minutes(1)),
            username: per_hour(settings.logins_per_username_per_hour),
            device_login: per_hour(settings.logins_per_device_per_hour),
            password_check: per_hour(settings.password_checks_per_hour),
            login_failure: per_hour(login_failures),
            solved_login: per_hour(
                settings.logins_per_username_per_hour.max(1).saturating_mul(SOLVED_LOGINS),
            ),
        }
    }

    #[cfg(test)]
    fn all(allowed: usize, window: TimeDelta) -> Self {
        let rule = Rule { allowed, window };
        Self {
            register: rule,
            register_device: rule,
            login: rule,
            username: rule,
            device_login: rule,
            password_check: rule,
            login_failure: rule,
            solved_login: rule,
        }
    }

    fn of(&self, limit: Limit) -> Rule {
        match limit {
            Limit::Register => self.register,
            Limit::RegisterDevice => self.register_device,
            Limit::Login => self.login,
            Limit::Username => self.username,
            Limit::DeviceLogin => self.device_login,
            Limit::PasswordCheck => self.password_check,
            Limit::LoginFailure => self.login_failure,
            Limit::SolvedLogin => self.solved_login,
        }
    }
}

/// Counts and refuses; [`Error::RateLimited`] says when to come back.
pub trait RateLimiter: Send + Sync {
    /// Counts one more by `key`.
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>>;

    /// How long one more by `key` would have to wait, if at all; counts nothing.
    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>>;
}

/// The store that the settings mean.
#[must_use]
pub fn limiter(
    settings: &Settings,
    clock: Clock,
    (pool, redis): (Pool, Option<Redis>),
    metrics: &ServiceMetrics,
) -> Arc<dyn RateLimiter> {
    let rules = Rules::new(&settings.limits, settings.captcha.login_failures);
    let database = PostgresLimiter::new(rules, clock.clone(), pool);
    let store: Arc<dyn RateLimiter> = match (settings.limit_store(), redis) {
        (LimitStore::Memory, _) => Arc::new(MemoryLimiter::new(rules, clock)),
        (LimitStore::Redis, Some(redis)) => {
            let fallbacks = metrics.redis_fallbacks.clone();
            Arc::new(RedisLimiter::new(rules, clock, redis, database, fallbacks))
        }
        (LimitStore::Postgres | LimitStore::Redis, _) => Arc::new(database),
    };
    Arc::new(Counted { store, refused: metrics.limited.clone() })
}

fn limited(wait: TimeDelta) -> Error {
    Error::RateLimited(wait.to_std().unwrap_or_default())
}
