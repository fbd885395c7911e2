//! What a service must reach before it takes traffic.
//!
//! What has to be asked is asked beside, by [`Checking`], and its last answer kept; what memory
//! knows is read when somebody asks. So an answer about readiness waits for nothing.

mod asked;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use asked::Asked;
pub use asked::Pace;

const NOT_READY: &str = "not_ready";

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
    checks: Vec<(&'static str, Source)>,
    draining: Option<CancellationToken>,
}

#[derive(Clone)]
enum Source {
    Asked(Arc<Asked>),
    Known(Arc<dyn Fn() -> State + Send + Sync>),
}

/// Asks until it is dropped.
#[derive(Default)]
pub struct Checking {
    _tasks: JoinSet<()>,
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
    pub duration_ms: f64,
    /// How long ago it ended, in milliseconds.
    pub age_ms: f64,
}

impl Finding {
    fn new(name: &'static str, state: State, took: Duration, age: Duration) -> Self {
        let (status, reason) = match state {
            State::Ready => ("ready", None),
            State::Degraded(reason) => ("degraded", Some(reason)),
            State::NotReady(reason) => (NOT_READY, Some(reason)),
        };
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self { name, status, reason, duration_ms: ms(took), age_ms: ms(age) }
    }

    /// Whether traffic can be served as far as this dependency goes.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.status != NOT_READY
    }
}

impl Readiness {
    /// Adds a dependency that has to be asked.
    #[must_use]
    pub fn with<F>(self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output: Into<State>> + Send + 'static,
    {
        self.with_pace(name, Pace::default(), check)
    }

    /// The same at a pace of its own.
    #[must_use]
    pub fn with_pace<F>(
        mut self,
        name: &'static str,
        pace: Pace,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output: Into<State>> + Send + 'static,
    {
        self.checks.push((name, Source::Asked(Arc::new(Asked::new(pace, check)))));
        self
    }

    /// Adds one of which memory knows; `state` neither waits nor computes for long.
    #[must_use]
    pub fn with_known<S: Into<State>>(
        mut self,
        name: &'static str,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Source::Known(Arc::new(move || state().into()))));
        self
    }

    /// Not ready from the moment that `draining` is cancelled.
    #[must_use]
    pub(crate) fn until(mut self, draining: CancellationToken) -> Self {
        self.draining = Some(draining);
        self
    }

    /// Begins to ask; whatever has to be asked is not ready before it has answered once.
    #[must_use]
    pub fn start(&self) -> Checking {
        let mut tasks = JoinSet::new();
        for (_, source) in &self.checks {
            if let Source::Asked(asked) = source {
                tasks.spawn(Arc::clone(asked).keep_asking());
            }
        }
        Checking { _tasks: tasks }
    }

    /// What is known now, from memory.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<_> =
            self.checks.iter().map(|(name, source)| source.finding(name)).collect();
        if self.draining.as_ref().is_some_and(CancellationToken::is_cancelled) {
            let state = State::NotReady("shutting down".to_owned());
            findings.push(Finding::new("drain", state, Duration::ZERO, Duration::ZERO));
        }
        findings
    }
}

impl Source {
    fn finding(&self, name: &'static str) -> Finding {
        match self {
            Self::Asked(asked) => asked.finding(name),
            Self::Known(state) => {
                let started = Instant::now();
                let state = state();
                Finding::new(name, state, started.elapsed(), Duration::ZERO)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degraded_dependency_serves_and_a_draining_service_does_not() {
        let draining = CancellationToken::new();
        let readiness = Readiness::default()
            .with_known("keys", || State::Ready)
            .with_known("feed", || State::Degraded("lost".to_owned()))
            .until(draining.clone());
        let findings = readiness.findings();
        assert!(findings.iter().all(Finding::serves));
        assert_eq!((findings[1].status, findings[1].reason.as_deref()), ("degraded", Some("lost")));
        draining.cancel();
        assert!(!readiness.findings().iter().all(Finding::serves));
    }
}
