use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::redis::{Away, Redis};
use futures_util::future::BoxFuture;
use prometheus::IntCounterVec;
use redis::Script;

use super::window::{DOUBLINGS, FORGIVEN_AFTER, Rule};
use super::{Limit, LimitKey, PostgresLimiter, RateLimiter, Rules, limited};
use crate::error::Error;

/// Counts in Redis, for all replicas together; in the database while Redis is away.
pub struct RedisLimiter {
    rules: Rules,
    clock: Clock,
    redis: Redis,
    script: Script,
    database: PostgresLimiter,
    fallbacks: IntCounterVec,
    /// Whether its last answer was none that a limit can have.
    doubted: AtomicBool,
}

impl RedisLimiter {
    /// With the limits of the settings; `fallbacks` counts what Redis did not do.
    #[must_use]
    pub fn new(
        rules: Rules,
        clock: Clock,
        redis: Redis,
        database: PostgresLimiter,
        fallbacks: IntCounterVec,
    ) -> Self {
        let script = Script::new(include_str!("window.lua"));
        Self { rules, clock, redis, script, database, fallbacks, doubted: AtomicBool::new(false) }
    }

    /// How long `key` has to wait; zero is not at all.
    async fn ask(&self, limit: Limit, key: LimitKey, count: bool) -> Result<TimeDelta, Away> {
        let rule = self.rules.of(limit);
        let key = self.redis.key("limit", &hex::encode(key.digest(limit)));
        let mut call = self.script.key(key);
        call.arg(self.clock.now().timestamp_micros())
            .arg(rule.window.num_microseconds().unwrap_or(i64::MAX))
            .arg(rule.allowed)
            .arg(DOUBLINGS)
            .arg(FORGIVEN_AFTER)
            .arg(i32::from(count));
        let asked = self.redis.run(async |connection| call.invoke_async(connection).await).await;
        let asked = asked.map(TimeDelta::microseconds).and_then(|wait| self.doubt(rule, wait));
        if asked.is_err() {
            self.fallbacks.with_label_values(&["limits"]).inc();
        }
        asked
    }

    /// A wait that `rule` never has is no better than no answer.
    fn doubt(&self, rule: Rule, wait: TimeDelta) -> Result<TimeDelta, Away> {
        let possible = (TimeDelta::zero()..=rule.longest()).contains(&wait);
        let doubted = self.doubted.swap(!possible, Ordering::Relaxed);
        if !possible && !doubted {
            let (wait_ms, longest_ms) =
                (wait.num_milliseconds(), rule.longest().num_milliseconds());
            tracing::warn!(wait_ms, longest_ms, "redis_answers_impossible_waits");
        }
        if possible { Ok(wait) } else { Err(Away) }
    }
}

impl RateLimiter for RedisLimiter {
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.ask(limit, key, true).await {
                Ok(wait) if wait > TimeDelta::zero() => Err(limited(wait)),
                Ok(_) => Ok(()),
                Err(Away) => self.database.check(limit, key).await,
            }
        })
    }

    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            match self.ask(limit, key, false).await {
                Ok(wait) => Ok(wait.to_std().ok().filter(|wait| !wait.is_zero())),
                Err(Away) => self.database.wait(limit, key).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use common::database::{Database, DatabaseSettings};
    use common::metrics::Metrics;
    use common::redis::RedisSettings;
    use common::settings::{Period, Secret};
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use test_support::{TestDatabase, TestRedis};

    use super::*;
    use crate::limits::MemoryLimiter;
    use crate::metrics::ServiceMetrics;

    const KEY: LimitKey = LimitKey::Name([7; 32]);

    async fn judged(store: &dyn RateLimiter) -> (Option<u64>, Option<u64>) {
        let seen = store.wait(Limit::Username, KEY).await.unwrap();
        let wait = match store.check(Limit::Username, KEY).await {
            Ok(()) => None,
            Err(Error::RateLimited(wait)) => Some(wait),
            Err(error) => panic!("{error}"),
        };
        // Stores are asked one after the other, which takes its time.
        let minutes = |wait: Duration| (wait.as_secs() + 30) / 60;
        (seen.map(minutes), wait.map(minutes))
    }

    #[tokio::test]
    async fn memory_database_and_redis_judge_alike_whatever_the_clock_does() {
        let (database, redis) =
            (TestDatabase::create("user", || crate::MIGRATIONS).await, TestRedis::start().await);
        let period = Period(Duration::from_secs(20));
        let settings = DatabaseSettings {
            url: database.secret(),
            ca_path: None,
            max_connections: 2,
            connect_timeout: period,
            statement_timeout: period,
        };
        let place = Database::new(&settings.url, None).unwrap();
        let url = Some(Secret::from(redis.url()));
        let redis = RedisSettings { url, ca_file: None, prefix: "t:".to_owned(), timeout: period };
        let metrics = Metrics::new("user-service");
        let redis = redis.open(&metrics).unwrap().unwrap();
        let (clock, rules) = (Clock::default(), Rules::all(3, TimeDelta::minutes(10)));
        let counted = || PostgresLimiter::new(rules, clock.clone(), settings.pool(&place));
        let fallbacks = ServiceMetrics::register(&metrics).redis_fallbacks;
        let stores: [Box<dyn RateLimiter>; 3] = [
            Box::new(MemoryLimiter::new(rules, clock.clone())),
            Box::new(counted()),
            Box::new(RedisLimiter::new(rules, clock.clone(), redis, counted(), fallbacks.clone())),
        ];
        let (mut random, mut refused) = (StdRng::seed_from_u64(6), 0);
        for step in 0..400 {
            let expected = judged(&*stores[0]).await;
            refused += u32::from(expected.1.is_some());
            for store in &stores[1..] {
                assert_eq!(judged(&**store).await, expected, "step {step}");
            }
            // Mostly a few minutes on, at times far on or back.
            let minutes = match random.random_range(0..20) {
                0 => 301,
                1 => -97,
                _ => random.random_range(0..8),
            };
            clock.turn(TimeDelta::seconds(minutes * 61));
        }
        assert!((50..350).contains(&refused), "{refused}");
        assert_eq!(fallbacks.with_label_values(&["limits"]).get(), 0);
    }
}
