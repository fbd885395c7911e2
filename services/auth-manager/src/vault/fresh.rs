//! Whether an access token is good enough for a caller.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::settings::Secret;

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

/// How long a token must live on to be given to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need(TimeDelta);

impl Need {
    /// `margin` always, `min_ttl` where the caller asks for more.
    pub(super) fn new(margin: TimeDelta, min_ttl: Duration) -> Self {
        Self(TimeDelta::from_std(min_ttl).unwrap_or(TimeDelta::MAX).max(margin))
    }

    /// Nobody may ask for more than half of a token's life: each draw would be a call.
    pub(super) fn is_met(
        self,
        obtained_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> bool {
        let left = expires_at - now;
        left > TimeDelta::zero() && left >= self.0.min((expires_at - obtained_at) / 2)
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
    fn a_short_lived_token_is_served_for_half_its_life() {
        assert!(is_met(0, 20, 10));
        assert!(!is_met(0, 20, 11));
        assert!(!is_met(0, 0, 0));
    }
}
