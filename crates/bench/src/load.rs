//! Load of a known shape, and how long its answers took.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;

/// How long each of many requests took, shortest first.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut taken: Vec<Duration>) -> Self {
        taken.sort_unstable();
        Self(taken)
    }

    /// The latency that `share` of the requests did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below the length"
        )]
        let index = ((self.0.len() as f64 * share).ceil() as usize).max(1) - 1;
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Milliseconds of a duration.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `rate` requests a second for `period`, each at its time whether or not earlier ones are
/// answered: one that has to wait for its lane is counted from when it should have been sent.
pub(crate) async fn open_loop(
    rate: u32,
    period: Duration,
    lanes: &mut [impl AsyncFnMut() -> Result<()>],
) -> Result<Latencies> {
    let (bells, lanes): (Vec<_>, Vec<_>) = lanes
        .iter_mut()
        .map(|request| {
            let (bell, mut due) = unbounded_channel();
            let lane = async move {
                let (mut taken, mut free) = (Vec::new(), Instant::now());
                while let Some(due) = due.recv().await {
                    // A bell that rings late is the load's own fault; a lane still busy is not.
                    let sent = if free > due { due } else { Instant::now() };
                    request().await?;
                    free = Instant::now();
                    taken.push(free - sent);
                }
                anyhow::Ok(taken)
            };
            (bell, lane)
        })
        .unzip();
    // On a thread of its own: the runtime's timers ring at whole milliseconds, which would make
    // five requests at once of 5,000 a second.
    thread::spawn(move || {
        let start = Instant::now() + Duration::from_millis(10);
        for (shot, bell) in (0_u32..).zip(bells.iter().cycle()) {
            let after = Duration::from_secs(shot.into()) / rate;
            if after >= period {
                break;
            }
            thread::sleep((start + after).saturating_duration_since(Instant::now()));
            // A lane that failed has gone, and said so.
            let _ = bell.send(start + after);
        }
    });
    Ok(Latencies::new(try_join_all(lanes).await?.concat()))
}

/// Runs a load on a runtime of its own and of one thread, so that none of it waits for another
/// thread of this process; for a thread that may block.
pub(crate) fn on_one_thread<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_current_thread().enable_all().build()?.block_on(load)
}

/// As many requests as `lanes` get answered in `period`, a second.
pub(crate) async fn closed_loop<F>(
    lanes: usize,
    period: Duration,
    request: impl Fn() -> F,
) -> Result<f64>
where
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    let request = &request;
    let lanes = (0..lanes).map(|_| async move {
        let mut count = 0_u32;
        while start.elapsed() < period {
            request().await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    let answered: u32 = try_join_all(lanes).await?.iter().sum();
    Ok(f64::from(answered) / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let latencies = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(latencies.percentile(0.99), Duration::from_millis(99));
        assert_eq!(latencies.percentile(0.5), Duration::from_millis(50));
        assert_eq!(latencies.percentile(1.0), Duration::from_millis(100));
        assert_eq!(Latencies::new(Vec::new()).percentile(0.99), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_request_that_had_to_wait_for_another_is_counted_from_its_due_time() {
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok(())
        };
        let latencies = open_loop(10, Duration::from_secs(1), &mut [slow]).await.unwrap();
        assert_eq!(latencies.count(), 10);
        assert!(latencies.percentile(1.0) >= Duration::from_millis(550));
    }
}
