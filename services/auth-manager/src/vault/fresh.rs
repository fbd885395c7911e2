//! Whether an access token is good enough for a caller.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::http::Problem;
use common::settings::Secret;
use serde_json::json;

use crate::providers::TokenAnswer;

/// An access token as it is given to a caller.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// It.
    pub token: Secret,
    /// When the provider gave it.
    pub obtained_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

impl AccessToken {
    /// Refuses a caller who asks for more than half of this token's life, and says how much that
    /// is: a shorter one would not be what they asked for, a longer one is not to be had.
    pub(super) fn refuse_beyond(&self, min_ttl: Duration) -> Result<(), Problem> {
        let half = half_life(self.obtained_at, self.expires_at);
        if TimeDelta::from_std(min_ttl).is_ok_and(|asked| asked <= half) {
            return Ok(());
        }
        let max = half.num_seconds();
        let text = format!("`min_ttl` may be at most {max}, half of a token's life");
        let details = json!({ "field": "min_ttl", "max": max });
        Err(Problem::invalid_field("min_ttl", text).with_details(details))
    }
}

impl From<&TokenAnswer> for AccessToken {
    fn from(answer: &TokenAnswer) -> Self {
        let TokenAnswer { access_token, obtained_at, expires_at, .. } = answer;
        Self { token: access_token.clone(), obtained_at: *obtained_at, expires_at: *expires_at }
    }
}

/// Half of a token's life, in whole seconds as `min_ttl` is.
fn half_life(obtained_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> TimeDelta {
    TimeDelta::seconds((expires_at - obtained_at).num_seconds() / 2)
}

/// How long a token must live on to be given to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need(TimeDelta);

impl Need {
    /// `margin` always, `min_ttl` where the caller asks for more.
    pub(super) fn new(margin: TimeDelta, min_ttl: Duration) -> Self {
        Self(TimeDelta::from_std(min_ttl).unwrap_or(TimeDelta::MAX).max(margin))
    }

    /// Never more than half of a token's life, be it the margin or what a caller asks: each draw
    /// would be a call.
    pub(super) fn is_met(
        self,
        obtained_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> bool {
        let left = expires_at - now;
        left > TimeDelta::zero() && left >= self.0.min(half_life(obtained_at, expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_met(min_ttl: u64, life: i64, age: i64) -> bool {
        let obtained = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |seconds| obtained + TimeDelta::seconds(seconds);
        let need = Need::new(TimeDelta::seconds(30), Duration::from_secs(min_ttl));
        need.is_met(obtained, at(life), at(age))
    }

    #[test]
    fn a_token_is_served_until_the_margin_before_its_end() {
        assert!(is_met(0, 300, 0));
        assert!(is_met(0, 300, 270));
        assert!(!is_met(0, 300, 271));
        assert!(!is_met(0, 300, 301));
    }

    #[test]
    fn a_caller_may_ask_for_more_but_for_no_more_than_half_the_life() {
        assert!(is_met(100, 300, 200));
        assert!(!is_met(100, 300, 201));
        assert!(is_met(10, 300, 270));
        for min_ttl in [150, 1_000, u64::MAX] {
            assert!(is_met(min_ttl, 300, 150));
            assert!(!is_met(min_ttl, 300, 151));
        }
    }

    #[test]
    fn who_asks_for_more_than_half_the_life_is_told_how_much_there_is() {
        let obtained_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for life in [300, 301] {
            let expires_at = obtained_at + TimeDelta::seconds(life);
            let token = AccessToken { token: String::new().into(), obtained_at, expires_at };
            assert!(token.refuse_beyond(Duration::from_secs(150)).is_ok());
            for min_ttl in [151, u64::MAX] {
                let problem = token.refuse_beyond(Duration::from_secs(min_ttl)).unwrap_err();
                assert_eq!(problem.details.unwrap()["max"], 150);
            }
        }
    }

    #[test]
    fn a_short_lived_token_is_served_for_half_its_life() {
        assert!(is_met(0, 20, 10));
        assert!(!is_met(0, 20, 11));
        assert!(!is_met(0, 0, 0));
    }
}
