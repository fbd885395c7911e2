use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::{Finding, State};

/// How soon one that is not as it should be is asked again at first: a start must not wait a whole
/// interval for what comes a moment later.
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// And how soon for as long as that lasts, unless it is asked more often anyway.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// How often a dependency is asked, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From an answer to the next question, where all is as it should be; else a second at most.
    pub interval: Duration,
    /// A dependency that takes longer to answer is not ready.
    pub timeout: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), timeout: Duration::from_secs(2) }
    }
}

impl Pace {
    /// An older answer says nothing: whoever should have asked again is stuck.
    fn stale_after(self) -> Duration {
        2 * (self.interval + self.timeout)
    }
}

/// A dependency that has to be asked, and its last answer.
pub(super) struct Asked {
    pace: Pace,
    ask: Box<dyn Fn() -> BoxFuture<'static, State> + Send + Sync>,
    last: Mutex<Option<Answer>>,
}

struct Answer {
    state: State,
    took: Duration,
    at: Instant,
}

impl Asked {
    pub(super) fn new<F>(pace: Pace, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output: Into<State>> + Send + 'static,
    {
        let ask = move || {
            let checked = check();
            let state: BoxFuture<'static, State> = Box::pin(async { checked.await.into() });
            state
        };
        Self { pace, ask: Box::new(ask), last: Mutex::default() }
    }

    pub(super) async fn keep_asking(self: Arc<Self>) {
        let mut retry = FIRST_RETRY;
        loop {
            let answer = self.ask().await;
            let is_well = answer.state == State::Ready;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            if is_well {
                sleep(self.pace.interval).await;
                retry = FIRST_RETRY;
            } else {
                sleep(retry.min(self.pace.interval)).await;
                retry = LAST_RETRY.min(2 * retry);
            }
        }
    }

    async fn ask(&self) -> Answer {
        let (started, longest) = (Instant::now(), self.pace.timeout);
        let state = timeout(longest, (self.ask)())
            .await
            .unwrap_or_else(|_| State::NotReady(format!("no answer within {longest:?}")));
        Answer { state, took: started.elapsed(), at: Instant::now() }
    }

    pub(super) fn finding(&self, name: &'static str) -> Finding {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Answer { state, took, at }) = &*last else {
            let state = State::NotReady("not asked yet".to_owned());
            return Finding::new(name, state, Duration::ZERO, Duration::ZERO);
        };
        let age = at.elapsed();
        let state = if age > self.pace.stale_after() {
            State::NotReady(format!("not asked for {} s", age.as_secs()))
        } else {
            state.clone()
        };
        Finding::new(name, state, *took, age)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Readiness;
    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_secs(1) };

    fn reason(readiness: &Readiness) -> String {
        readiness.findings()[0].reason.clone().unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_ready_before_it_was_asked_and_an_old_answer_counts_for_nothing() {
        let readiness = Readiness::default().with_pace("database", PACE, || async {
            sleep(Duration::from_millis(300)).await;
            State::Ready
        });
        assert_eq!(reason(&readiness), "not asked yet");
        let checking = readiness.start();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(reason(&readiness), "not asked yet");
        sleep(Duration::from_millis(200)).await;
        let finding = readiness.findings().remove(0);
        assert!(finding.serves(), "{finding:?}");
        assert!((300.0..310.0).contains(&finding.duration_ms), "{finding:?}");
        assert!((90.0..110.0).contains(&finding.age_ms), "{finding:?}");
        drop(checking);
        sleep(Duration::from_secs(3)).await;
        assert!(readiness.findings()[0].serves());
        sleep(Duration::from_secs(1)).await;
        assert_eq!(reason(&readiness), "not asked for 4 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_has_failed_and_holds_no_other_up() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let readiness = Readiness::default()
            .with_pace("database", PACE, || async {
                sleep(Duration::from_hours(1)).await;
                State::Ready
            })
            .with_pace("redis", PACE, move || {
                count.fetch_add(1, Ordering::Relaxed);
                async { State::Ready }
            });
        let _checking = readiness.start();
        sleep(Duration::from_millis(900)).await;
        assert!(readiness.findings()[1].serves());
        sleep(Duration::from_millis(200)).await;
        assert_eq!(reason(&readiness), "no answer within 1s");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(reason(&readiness), "no answer within 1s");
        assert_eq!(asked.load(Ordering::Relaxed), 7, "one a second, the first at once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_asked_again_soon_and_then_no_more_often_than_the_rest() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let readiness = Readiness::default().with_pace("database", PACE, move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move { if number == 1 { Ok(()) } else { Err("away".to_owned()) } }
        });
        let _checking = readiness.start();
        sleep(Duration::from_millis(40)).await;
        assert_eq!(reason(&readiness), "away");
        sleep(Duration::from_millis(20)).await;
        assert_eq!(reason(&readiness), "");
        sleep(Duration::from_secs(30)).await;
        assert!((30..40).contains(&asked.load(Ordering::Relaxed)), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_as_it_should_be_is_asked_every_second_however_long_its_interval() {
        let slow = Pace { interval: Duration::from_mins(1), timeout: Duration::from_secs(1) };
        let degraded = || State::Degraded("no key".to_owned());
        for wrong in [degraded(), State::NotReady("no key".to_owned())] {
            let asked = Arc::new(AtomicUsize::new(0));
            let (count, told) = (Arc::clone(&asked), wrong.clone());
            let readiness = Readiness::default().with_pace("signing_keys", slow, move || {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let told = told.clone();
                async move { if number < 40 { told } else { State::Ready } }
            });
            let _checking = readiness.start();
            sleep(Duration::from_secs(30)).await;
            assert!((30..40).contains(&asked.load(Ordering::Relaxed)), "{asked:?}, {wrong:?}");
            assert_eq!(reason(&readiness), "no key");
            sleep(Duration::from_secs(30)).await;
            assert_eq!(asked.load(Ordering::Relaxed), 41, "{wrong:?}");
        }
    }
}
