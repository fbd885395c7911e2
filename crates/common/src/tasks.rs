//! Tasks that run for as long as their service does: one that panics is begun again, counted, and
//! told of by readiness under the name `tasks`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use prometheus::IntCounterVec;
use tokio::time::{Instant, sleep};

use crate::readiness::State;

/// Before what panicked is begun again; twice as long each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// What has not panicked for so long is well again.
const WELL_AFTER: Duration = Duration::from_mins(1);

/// A service's tasks; clones share everything.
#[derive(Clone)]
pub struct Tasks {
    panics: IntCounterVec,
    failing: Arc<Mutex<BTreeMap<&'static str, Failing>>>,
}

#[derive(Clone, Copy)]
struct Failing {
    times: u32,
    at: Instant,
}

impl Failing {
    fn is_past(&self) -> bool {
        self.at.elapsed() > WELL_AFTER
    }
}

impl Tasks {
    /// Counts panics in `panics`, by `task`.
    pub(crate) fn new(panics: IntCounterVec) -> Self {
        Self { panics, failing: Arc::default() }
    }

    /// Runs what `begin` makes until it returns, which says that it is no longer needed. A panic
    /// ends nothing: after a pause it is begun again. Called within a runtime; tasks of one `name`
    /// are told of together.
    pub fn run<F>(&self, name: &'static str, begin: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        // Shown as none from the start.
        self.panics.with_label_values(&[name]);
        tokio::spawn(async move {
            // What a panic leaves behind is dropped, or is shared behind a lock or an atomic.
            while AssertUnwindSafe(async { begin().await }).catch_unwind().await.is_err() {
                sleep(tasks.note(name)).await;
            }
        });
    }

    /// Degraded while a task is down, or was within the last minute.
    pub(crate) fn readiness(&self) -> State {
        let tell = |(name, failing): (&&str, &Failing)| {
            let Failing { times, at } = failing;
            let ago = at.elapsed().as_secs();
            format!("`{name}` panicked, {times} times in a row, and was begun again {ago} s ago")
        };
        let failing = self.lock();
        let told: Vec<_> = failing.iter().filter(|(_, one)| !one.is_past()).map(tell).collect();
        if told.is_empty() { State::Ready } else { State::Degraded(told.join("; ")) }
    }

    /// A panic of `name`, and how long to leave it alone.
    fn note(&self, name: &'static str) -> Duration {
        self.panics.with_label_values(&[name]).inc();
        let mut failing = self.lock();
        let before = failing.get(name).filter(|one| !one.is_past()).map_or(0, |one| one.times);
        let times = before + 1;
        failing.insert(name, Failing { times, at: Instant::now() });
        drop(failing);
        tracing::error!(task = name, times, "task_panicked");
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(before.min(16));
        doubled.min(LAST_PAUSE)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn what_panics_is_begun_again_ever_later_and_is_told_of_for_a_minute() {
        let metrics = Metrics::new("a-service");
        let tasks = metrics.tasks();
        let begun = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&begun);
        tasks.run("fragile", move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(1)).await;
                assert!(number >= 3, "a panic that the test wants");
                std::future::pending::<()>().await;
            }
        });
        assert_eq!(tasks.readiness(), State::Ready);
        for (after, times) in [(0, 1), (100, 2), (200, 3), (400, 4)] {
            sleep(Duration::from_millis(after + 10)).await;
            assert_eq!(begun.load(Ordering::Relaxed), times, "after {after} ms");
            let State::Degraded(reason) = tasks.readiness() else { panic!("it is told") };
            assert!(reason.starts_with("`fragile` panicked"), "{reason}");
        }
        sleep(Duration::from_mins(2)).await;
        assert_eq!(begun.load(Ordering::Relaxed), 4);
        assert_eq!(tasks.readiness(), State::Ready);
        let text = metrics.render_as(crate::metrics::Format::Classic);
        assert!(text.contains("a_service_tasks_panicked_total{task=\"fragile\"} 3\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_returns_is_not_begun_again_and_is_well() {
        let tasks = Metrics::new("a-service").tasks();
        let begun = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&begun);
        tasks.run("done", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async {}
        });
        sleep(Duration::from_mins(2)).await;
        assert_eq!((begun.load(Ordering::Relaxed), tasks.readiness()), (1, State::Ready));
    }
}
