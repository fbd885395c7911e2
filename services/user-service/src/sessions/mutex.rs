//! One rotation of a family at a time across replicas, where there is Redis: the others wait for it
//! and then read the row, in place of preparing one each. The database stays the judge: whoever
//! holds the mutex, or nobody, only one rotation is possible.

use std::time::Duration;

use common::redis::{Away, Redis};
use redis::{ExistenceCheck, Script, SetExpiry, SetOptions};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::state::State;

/// What a holder that dies leaves behind goes after so long.
const HELD_FOR: u64 = 10_000;
/// Nobody waits longer for a holder, alive or not.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Only the holder's own: it may have been away for longer than it held.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                       return redis.call('DEL', KEYS[1]) end return 0";

/// Whose turn it is.
pub(super) enum Turn {
    /// Ours; the mutex is held until it is dropped. None where nobody can be asked, or the holder
    /// takes too long.
    Ours(#[expect(dead_code, reason = "dropping it releases the mutex")] Option<Held>),
    /// Another's, who has done: the row says what came of it.
    Done,
}

/// The mutex, until it is dropped.
pub(super) struct Held {
    redis: Redis,
    key: String,
    token: String,
}

/// Takes the mutex of `family`, or waits until its holder has done.
pub(super) async fn take_turn(state: &State, family: Uuid) -> Turn {
    let Some(redis) = &state.redis else { return Turn::Ours(None) };
    let held = Held {
        redis: redis.clone(),
        key: redis.key("refresh", &family.to_string()),
        token: Uuid::new_v4().to_string(),
    };
    match held.take().await {
        Ok(true) => {
            count(state, "held");
            Turn::Ours(Some(held))
        }
        Ok(false) => {
            let waited = held.wait_for_holder().await;
            held.forget();
            count(state, waited.unwrap_or("away"));
            if waited == Ok("waited") { Turn::Done } else { Turn::Ours(None) }
        }
        // It may have been set all the same; dropping it sees to that.
        Err(Away) => {
            count(state, "away");
            Turn::Ours(None)
        }
    }
}

impl Held {
    async fn take(&self) -> Result<bool, Away> {
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(HELD_FOR));
        let set = self.redis.run(async |connection| {
            let mut set = redis::cmd("SET");
            set.arg(&self.key).arg(&self.token).arg(options);
            set.query_async::<Option<String>>(connection).await
        });
        set.await.map(|set| set.is_some())
    }

    async fn wait_for_holder(&self) -> Result<&'static str, Away> {
        let (started, mut pause) = (Instant::now(), FIRST_LOOK);
        while started.elapsed() < PATIENCE {
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY);
            let held = self.redis.run(async |connection| {
                redis::cmd("EXISTS").arg(&self.key).query_async::<bool>(connection).await
            });
            if !held.await? {
                return Ok("waited");
            }
        }
        Ok("gave_up")
    }

    /// There is nothing to release.
    fn forget(mut self) {
        self.token.clear();
    }
}

impl Drop for Held {
    /// Nobody's answer waits for it.
    fn drop(&mut self) {
        let (redis, key) = (self.redis.clone(), std::mem::take(&mut self.key));
        let token = std::mem::take(&mut self.token);
        if token.is_empty() {
            return;
        }
        tokio::spawn(async move {
            let script = Script::new(RELEASE);
            let mut call = script.key(key);
            call.arg(token);
            // It goes by itself in the end.
            let _ = redis.run(async |connection| call.invoke_async::<i64>(connection).await).await;
        });
    }
}

fn count(state: &State, outcome: &str) {
    state.metrics.refresh_mutex.with_label_values(&[outcome]).inc();
    if outcome == "away" {
        state.metrics.redis_fallbacks.with_label_values(&["refresh"]).inc();
    }
}
