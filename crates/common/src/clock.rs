//! The time, from one place that tests can turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The system's clock plus an offset that is zero outside tests. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
    /// How far it goes wrong; zero outside tests.
    error: TimeDelta,
}

impl Clock {
    /// Now, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> DateTime<Utc> {
        self.turned(Utc::now() + self.error)
    }

    /// The clock of a machine that goes wrong, ahead by `error` or behind when that is negative. It
    /// is turned with this one, and what another clock tells is none the worse for it.
    #[must_use]
    pub fn wrong_by(&self, error: TimeDelta) -> Self {
        Self { offset_ms: Arc::clone(&self.offset_ms), error: self.error + error }
    }

    /// A time that another clock tells, turned as this one is.
    #[must_use]
    pub fn turned(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Turns this clock and its clones forward, or back when `by` is negative.
    pub fn turn(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}

/// RFC 3339 with milliseconds and `Z`, the form of every time in the HTTP contract.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `#[serde(serialize_with)]` for [`rfc3339`].
pub fn serialize<S: serde::Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// The same where there may be none: null.
pub fn serialize_optional<S: serde::Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_clock_and_its_clone_agree() {
        let clock = Clock::default();
        let clone = clock.clone();
        clock.turn(TimeDelta::hours(3));
        assert!(clone.now() - Clock::default().now() > TimeDelta::minutes(179));
    }

    #[test]
    fn a_clock_that_goes_wrong_is_turned_with_the_right_one_and_spoils_no_other_s_time() {
        let clock = Clock::default();
        let ahead = clock.wrong_by(TimeDelta::hours(2));
        clock.turn(TimeDelta::hours(3));
        assert!((ahead.now() - clock.now() - TimeDelta::hours(2)).abs() < TimeDelta::minutes(1));
        let told = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(ahead.turned(told), clock.turned(told));
    }

    #[test]
    fn times_have_milliseconds_and_z() {
        let time = DateTime::from_timestamp_millis(1_700_000_000_120).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.120Z");
    }
}
