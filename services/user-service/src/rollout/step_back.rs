//! Whether the newer cookies do harm, decided without a database.

use chrono::TimeDelta;

use crate::config::BrowserSettings;
use crate::models::cookie_rollout_session::Counts;

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// Percent of people; 0: never.
    replays: u8,
    csrf: u8,
    failures: u8,
    /// So many people have to be concerned, whatever the ratio.
    least: i64,
    /// How far back is counted.
    pub(super) window: TimeDelta,
}

impl Thresholds {
    pub(super) fn of(settings: &BrowserSettings) -> Self {
        Self {
            replays: settings.step_back_replays,
            csrf: settings.step_back_csrf,
            failures: settings.step_back_failures,
            least: settings.step_back_least.into(),
            window: settings.step_back_window.as_delta(),
        }
    }

    /// What crossed its threshold: its name, and how many people it concerned.
    pub(super) fn crossed(&self, counts: Counts) -> Option<(&'static str, i64)> {
        let kinds = [
            ("replays", counts.replayed, self.replays),
            ("csrf", counts.csrf_refused, self.csrf),
            ("failures", counts.failed, self.failures),
        ];
        let crossed = |concerned: i64, percent: u8| {
            percent > 0
                && concerned >= self.least
                && concerned * 100 >= i64::from(percent) * counts.seen
        };
        let found = kinds.into_iter().find(|(_, concerned, percent)| crossed(*concerned, *percent));
        found.map(|(name, concerned, _)| (name, concerned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds =
        Thresholds { replays: 2, csrf: 10, failures: 10, least: 20, window: TimeDelta::hours(1) };

    fn counts(seen: i64, replayed: i64, csrf_refused: i64, failed: i64) -> Counts {
        Counts { seen, replayed, csrf_refused, failed }
    }

    #[test]
    fn it_takes_both_a_ratio_and_a_number_of_people() {
        for (counted, crossed) in [
            (counts(1000, 20, 0, 0), Some(("replays", 20))),
            (counts(1001, 20, 0, 0), None),
            (counts(19, 19, 19, 19), None),
            (counts(20, 0, 20, 0), Some(("csrf", 20))),
            (counts(200, 0, 20, 0), Some(("csrf", 20))),
            (counts(201, 0, 20, 0), None),
            (counts(200, 0, 0, 20), Some(("failures", 20))),
            (counts(0, 0, 0, 0), None),
        ] {
            assert_eq!(THRESHOLDS.crossed(counted), crossed, "{counted:?}");
        }
    }

    #[test]
    fn a_threshold_of_nought_is_none() {
        let none = Thresholds { replays: 0, csrf: 0, failures: 0, ..THRESHOLDS };
        assert_eq!(none.crossed(counts(50, 50, 50, 50)), None);
    }
}
