use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::Pool;
use diesel_async::AsyncConnection as _;
use futures_util::future::BoxFuture;
use moka::sync::Cache;

use super::{Limit, LimitKey, RateLimiter, Rules, limited};
use crate::error::Error;
use crate::models::rate_limit::{self, Digest};

/// Keys known to be refused for a while: a flood of them does not reach the database.
const BLOCKED: u64 = 10_000;

/// Counts in the database, for all replicas together.
pub struct PostgresLimiter {
    rules: Rules,
    clock: Clock,
    pool: Pool,
    blocked: Cache<Digest, DateTime<Utc>>,
}

impl PostgresLimiter {
    /// With the limits of the settings.
    #[must_use]
    pub fn new(rules: Rules, clock: Clock, pool: Pool) -> Self {
        Self { rules, clock, pool, blocked: Cache::new(BLOCKED) }
    }

    async fn count(&self, limit: Limit, key: LimitKey) -> Result<(), Error> {
        let (now, rule, key) = (self.clock.now(), self.rules.of(limit), key.digest(limit));
        if let Some(wait) = self.blocked.get(&key).and_then(|until| rule.wait_until(until, now)) {
            return Err(limited(wait));
        }
        let mut connection = self.pool.get().await?;
        let counted = connection
            .transaction(async |connection| {
                let mut window = rate_limit::lock(connection, &key, now).await?;
                let counted = window.count(rule, now);
                let expires_at = window.expires_at(rule, now);
                rate_limit::save(connection, &key, &window, expires_at).await?;
                diesel::QueryResult::Ok(counted)
            })
            .await?;
        drop(connection);
        counted.map_err(|wait| {
            self.blocked.insert(key, now + wait);
            limited(wait)
        })
    }
}

impl RateLimiter for PostgresLimiter {
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.count(limit, key))
    }

    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            let mut connection = self.pool.get().await?;
            let window = rate_limit::find(&mut connection, &key.digest(limit)).await?;
            let wait =
                window.and_then(|window| window.wait(self.rules.of(limit), self.clock.now()));
            Ok(wait.and_then(|wait| wait.to_std().ok()))
        })
    }
}
