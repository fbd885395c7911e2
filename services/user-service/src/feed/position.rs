use std::fmt;

use crate::models::key_change::{FeedState, KeyChange};

/// Where a reader stands: everything up to and including `(transaction, id)` has been sent and
/// nothing can still appear there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    epoch: String,
    pub(super) transaction: i64,
    pub(super) id: i64,
}

impl Position {
    /// Before all changes.
    pub(super) fn start(state: &FeedState) -> Self {
        Self { epoch: state.epoch.clone(), transaction: 0, id: 0 }
    }

    /// Where a reader stands that was sent everything visible in `state`.
    pub(super) fn horizon(state: &FeedState) -> Self {
        Self { epoch: state.epoch.clone(), transaction: state.horizon, id: 0 }
    }

    /// Where a reader stands that was sent `change` and, in order, all before it. A change whose
    /// transaction could still have company below it moves nobody past the horizon.
    pub(super) fn after(change: &KeyChange, state: &FeedState) -> Self {
        if change.transaction_id < state.horizon {
            let epoch = state.epoch.clone();
            Self { epoch, transaction: change.transaction_id, id: change.id }
        } else {
            Self::horizon(state)
        }
    }

    /// A position that a reader brings back; `None` where it means nothing in `state`.
    pub(super) fn parse(text: &str, state: &FeedState) -> Option<Self> {
        let mut parts = text.split('.');
        let (epoch, transaction, id) = (parts.next()?, parts.next()?, parts.next()?);
        let position = Self {
            epoch: epoch.to_owned(),
            transaction: transaction.parse().ok()?,
            id: id.parse().ok()?,
        };
        let known = parts.next().is_none()
            && position.epoch == state.epoch
            && (0..=state.next).contains(&position.transaction);
        known.then_some(position)
    }

    pub(super) fn key(&self) -> (i64, i64) {
        (self.transaction, self.id)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.epoch, self.transaction, self.id)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn state() -> FeedState {
        FeedState { epoch: "ab".into(), horizon: 100, next: 120, running: vec![100] }
    }

    fn change(transaction_id: i64) -> KeyChange {
        let until = DateTime::from_timestamp(0, 0).unwrap();
        KeyChange {
            id: 7,
            transaction_id,
            kind: "kid".into(),
            value: "k".into(),
            until,
            created_at: until,
        }
    }

    #[test]
    fn an_unsettled_change_moves_nobody_past_the_horizon() {
        assert_eq!(Position::after(&change(99), &state()).to_string(), "ab.99.7");
        assert_eq!(Position::after(&change(100), &state()).to_string(), "ab.100.0");
        assert_eq!(Position::after(&change(110), &state()).to_string(), "ab.100.0");
    }

    #[test]
    fn positions_of_elsewhere_are_unknown() {
        assert_eq!(Position::parse("ab.99.7", &state()).unwrap().key(), (99, 7));
        for bad in ["", "ab", "ab.1", "ab.1.x", "ab.1.2.3", "cd.99.7", "ab.121.0", "ab.-1.0"] {
            assert_eq!(Position::parse(bad, &state()), None, "{bad}");
        }
    }
}
