//! One rotation of a family at a time across replicas, where there is Redis: the others wait for it
//! and then read the row, in place of preparing one each. Who has waited for a dead one goes on in
//! its place and takes away what it left, so that its death costs once. The database stays the judge:
//! whoever holds the mutex, or nobody, only one rotation is possible.

use std::time::Duration;

use common::redis::{Away, Redis};
use redis::{ExistenceCheck, Script, SetExpiry, SetOptions};
use tokio::time::{sleep, timeout};
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
    /// Ours, or that of a dead holder in whose place we go on; empty where there is nothing to release.
    token: String,
}

/// Takes the mutex of `family`, or waits until its holder has done.
pub(super) async fn take_turn(state: &State, family: Uuid) -> Turn {
    let Some(redis) = &state.redis else { return Turn::Ours(None) };
    let mut held = Held {
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
            let (outcome, dead) = match wait_for_holder(async || held.holder().await).await {
                Ok(None) => ("waited", None),
                Ok(dead) => ("gave_up", dead),
                Err(Away) => ("away", None),
            };
            count(state, outcome);
            // There is nothing of ours to release, but in the place of a dead one what it has left.
            held.token = dead.unwrap_or_default();
            if outcome == "waited" { Turn::Done } else { Turn::Ours(Some(held)) }
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

    /// The token of whoever holds it.
    async fn holder(&self) -> Result<Option<String>, Away> {
        let asked = self.redis.run(async |connection| {
            redis::cmd("GET").arg(&self.key).query_async::<Option<String>>(connection).await
        });
        asked.await
    }
}

/// Looks until the first holder has let go, whoever came after it; who it still is once patience is
/// over.
async fn wait_for_holder(
    look: impl AsyncFn() -> Result<Option<String>, Away>,
) -> Result<Option<String>, Away> {
    let mut first = None;
    let looking = async {
        let mut pause = FIRST_LOOK;
        loop {
            let holder = look().await?;
            if holder.is_none() || first.is_some() && first != holder {
                return Ok(None);
            }
            first = holder;
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY);
        }
    };
    let looked = timeout(PATIENCE, looking).await;
    // Redis may take longer than all our patience for its first answer.
    looked.unwrap_or_else(|_| first.map(Some).ok_or(Away))
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dead_holder_is_waited_for_two_seconds_however_long_looking_takes() {
        for a_look in [0, 190, 3000].map(Duration::from_millis) {
            let started = Instant::now();
            let waited = wait_for_holder(async || {
                sleep(a_look).await;
                Ok(Some("dead".to_owned()))
            });
            let seen = a_look < PATIENCE;
            assert_eq!(waited.await, if seen { Ok(Some("dead".to_owned())) } else { Err(Away) });
            assert_eq!(started.elapsed(), PATIENCE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_holds_it_after_the_first_one_is_not_waited_for() {
        for after in [None, Some("another".to_owned())] {
            let looks = Cell::new(0);
            let waited = wait_for_holder(async || {
                looks.set(looks.get() + 1);
                Ok(if looks.get() < 4 { Some("first".to_owned()) } else { after.clone() })
            });
            assert_eq!(waited.await, Ok(None));
            assert_eq!(looks.get(), 4);
        }
        assert_eq!(wait_for_holder(async || Err(Away)).await, Err(Away));
    }
}
