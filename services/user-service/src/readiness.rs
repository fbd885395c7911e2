//! What user-service must have before it takes traffic.

use std::time::Duration;

use common::database;
use common::readiness::{Pace, Readiness};
use sealed_columns::KeyCheck;

use crate::sessions;
use crate::state::State;

/// Each time a key signs, which may be a call of a service or of a token.
const SIGNING: Pace = Pace { interval: Duration::from_secs(10), timeout: Duration::from_secs(10) };

/// All of it but CORS, which every service has; `keys` are those that seal.
#[must_use]
pub fn readiness(state: &State, keys: KeyCheck) -> Readiness {
    let pool = state.pool.clone();
    let (sessions_pool, mac_keys) = (pool.clone(), state.mac_keys.clone());
    let (signing, hub) = (state.signing.clone(), state.hub.clone());
    let (csrf, clock) = (state.browser.csrf.clone(), state.clock.clone());
    let readiness = Readiness::default()
        .with("database", move || database::check(pool.clone()))
        .with("keyring", move || keys.clone().readiness())
        .with_pace("signing_keys", SIGNING, move || {
            let signing = signing.clone();
            async move { signing.readiness().await }
        })
        .with("sessions", move || sessions::readiness(sessions_pool.clone(), mac_keys.clone()))
        .with_known("csrf_keys", move || csrf.readiness(clock.now()))
        .with_known("change_feed", move || {
            hub.is_fresh().then_some(()).ok_or_else(|| "the changes can't be read".to_owned())
        });
    match state.redis.clone() {
        Some(redis) => readiness.with("redis", move || {
            let redis = redis.clone();
            async move { redis.readiness().await }
        }),
        None => readiness,
    }
}
