//! What a service must reach before it takes traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::time::timeout;

/// A dependency that takes longer than this to answer is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type CheckFn = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// The named checks behind `/health/ready` and the admin listener's `/ready`.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Arc<CheckFn>)>,
}

/// What one check came to.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The dependency's name.
    pub name: &'static str,
    /// `ready` or `not_ready`.
    pub status: &'static str,
    /// Why not, for operators; absent when ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the check took, in milliseconds.
    pub duration_ms: u64,
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
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Runs all checks side by side.
    pub async fn check(&self) -> Vec<Finding> {
        join_all(self.checks.iter().map(|(name, check)| run(name, check()))).await
    }
}

async fn run(name: &'static str, check: BoxFuture<'static, Result<(), String>>) -> Finding {
    let started = Instant::now();
    let reason = match timeout(CHECK_TIMEOUT, check).await {
        Ok(result) => result.err(),
        Err(_) => Some(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
    };
    Finding {
        name,
        status: if reason.is_none() { "ready" } else { "not_ready" },
        reason,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
