//! Whether tokens can be signed, found out by signing.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use common::readiness::State;
use tokio::time::timeout;

use super::{ServiceRing, Table};
use crate::error::Error;

/// How long a signature may take.
const SIGNING: Duration = Duration::from_secs(6);

/// What keeps the ring looks at it every other second; a place of keys that hangs holds it for
/// longer, and nothing holds it for so long.
const LATE: Duration = Duration::from_mins(1);

/// What keeps the ring, as it was when it last looked.
pub(super) struct Turn {
    at: Instant,
    fault: Option<String>,
}

impl Turn {
    /// One that ends now, and what went wrong in it.
    pub(super) fn new(fault: Option<String>) -> Self {
        Self { at: Instant::now(), fault }
    }

    fn state(&self, age: Duration) -> State {
        match &self.fault {
            _ if age > LATE => State::Degraded(format!(
                "nothing has looked after the service keys for {} s: restart this replica",
                age.as_secs()
            )),
            Some(fault) => {
                State::Degraded(format!("the service keys are not looked after: {fault}"))
            }
            None => State::Ready,
        }
    }
}

impl Table {
    /// How what keeps the ring does.
    fn kept(&self) -> State {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.state(turn.at.elapsed())
    }
}

impl ServiceRing {
    /// Signs with the current key, wherever that is. Where it does not sign, or there is none any
    /// more, the key set, the feed and questions about tokens are served on: that is degraded. Only a
    /// replica that has had no key yet is not ready.
    pub(in super::super) async fn readiness(&self) -> State {
        let kept = self.inner.table.as_ref().map_or(State::Ready, Table::kept);
        let Some(signer) = self.inner.kept().1.signer() else {
            let because = match kept {
                State::Degraded(reason) => format!(": {reason}"),
                _ => String::new(),
            };
            let reason = format!("no service key that can be used{because}");
            let has_signed = self.inner.has_signed();
            return if has_signed { State::Degraded(reason) } else { State::NotReady(reason) };
        };
        let late = || format!("no signature within {} s", SIGNING.as_secs());
        let tried = timeout(SIGNING, signer.try_out()).await;
        match tried.unwrap_or_else(|_| Err(Error::SignerUnavailable(late()))) {
            Ok(()) => kept,
            Err(error) => State::Degraded(format!("no token can be signed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_nothing_looks_after_is_degraded() {
        let turn = Turn::new(None);
        assert_eq!(turn.state(LATE), State::Ready);
        let dead = turn.state(LATE + Duration::from_secs(1));
        let reason = "nothing has looked after the service keys for 61 s: restart this replica";
        assert_eq!(dead, State::Degraded(reason.to_owned()));
    }
}
