//! What a service must reach before it takes traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const NOT_READY: &str = "not_ready";

/// A dependency that takes longer than this to answer is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type CheckFn = dyn Fn() -> BoxFuture<'static, State> + Send + Sync;

/// How a dependency is; the reason is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ready,
    /// Traffic is served still, but something is wrong.
    Degraded(String),
    /// No traffic can be served.
    NotReady(String),
}

impl From<Result<(), String>> for State {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::NotReady, |()| Self::Ready)
    }
}

/// The named checks behind `/health/ready` and the admin listener's `/ready`.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Arc<CheckFn>)>,
    draining: Option<CancellationToken>,
}

/// What one check came to.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The dependency's name.
    pub name: &'static str,
    /// `ready`, `degraded` or `not_ready`.
    pub status: &'static str,
    /// Why not, for operators; absent when ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the check took, in milliseconds.
    pub duration_ms: u64,
}

impl Finding {
    fn new(name: &'static str, state: State, duration_ms: u64) -> Self {
        let (status, reason) = match state {
            State::Ready => ("ready", None),
            State::Degraded(reason) => ("degraded", Some(reason)),
            State::NotReady(reason) => (NOT_READY, Some(reason)),
        };
        Self { name, status, reason, duration_ms }
    }

    /// Whether traffic can be served as far as this dependency goes.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.status != NOT_READY
    }
}

impl Readiness {
    /// Adds a dependency.
    #[must_use]
    pub fn with<F>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output: Into<State>> + Send + 'static,
    {
        let check = move || {
            let checked = check();
            let state: BoxFuture<'static, State> = Box::pin(async { checked.await.into() });
            state
        };
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// Not ready from the moment that `draining` is cancelled.
    #[must_use]
    pub(crate) fn until(mut self, draining: CancellationToken) -> Self {
        self.draining = Some(draining);
        self
    }

    /// Runs all checks side by side.
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings =
            join_all(self.checks.iter().map(|(name, check)| run(name, check()))).await;
        if self.draining.as_ref().is_some_and(CancellationToken::is_cancelled) {
            findings.push(Finding::new("drain", State::NotReady("shutting down".to_owned()), 0));
        }
        findings
    }
}

async fn run(name: &'static str, check: BoxFuture<'static, State>) -> Finding {
    let started = Instant::now();
    let state = timeout(CHECK_TIMEOUT, check).await.unwrap_or_else(|_| {
        State::NotReady(format!("no answer within {} s", CHECK_TIMEOUT.as_secs()))
    });
    Finding::new(name, state, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_degraded_dependency_serves_and_a_draining_service_does_not() {
        let draining = CancellationToken::new();
        let readiness = Readiness::default()
            .with("database", || async { Ok::<_, String>(()) })
            .with("feed", || async { State::Degraded("lost".to_owned()) })
            .until(draining.clone());
        let findings = readiness.check().await;
        assert!(findings.iter().all(Finding::serves));
        assert_eq!((findings[1].status, findings[1].reason.as_deref()), ("degraded", Some("lost")));
        draining.cancel();
        assert!(!readiness.check().await.iter().all(Finding::serves));
    }
}
