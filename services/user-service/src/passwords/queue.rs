//! How many hashes may be made and may wait: a bound on memory and on waiting.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// When a full queue is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The queue in front of the workers.
#[derive(Clone)]
pub(super) struct Queue {
    /// Every hash holds one of these from its admission to its end: workers and queue.
    places: Arc<Semaphore>,
    /// Those for strangers, half of the queue less.
    strangers: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    pending: IntGauge,
}

/// A place in the queue; left when dropped.
pub struct Admission {
    workers: Arc<Semaphore>,
    pending: IntGauge,
    _place: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
}

impl Queue {
    pub(super) fn new(workers: usize, queue: usize, pending: IntGauge) -> Self {
        Self {
            places: Arc::new(Semaphore::new(workers + queue)),
            strangers: Arc::new(Semaphore::new(workers + queue / 2)),
            workers: Arc::new(Semaphore::new(workers)),
            pending,
        }
    }

    /// A place at once, or [`Error::Busy`]; nobody waits for one.
    pub(super) fn admit(&self, known_device: bool) -> Result<Admission, Error> {
        let full = |_| Error::Busy(RETRY_AFTER);
        let stranger = if known_device {
            None
        } else {
            Some(Arc::clone(&self.strangers).try_acquire_owned().map_err(full)?)
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        self.pending.inc();
        Ok(Admission {
            workers: Arc::clone(&self.workers),
            pending: self.pending.clone(),
            _place: place,
            _stranger: stranger,
        })
    }
}

impl Admission {
    /// Runs `work` on the blocking pool when a worker is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let internal = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
        let worker =
            Arc::clone(&self.workers).acquire_owned().await.map_err(|error| internal(&error))?;
        // The permit goes along: a caller that gives up must not free a worker that is at work.
        let result = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            work()
        });
        result.await.map_err(|error| internal(&error))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.pending.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_queue_is_kept_for_known_devices() {
        let queue = Queue::new(2, 4, IntGauge::new("pending", "pending").unwrap());
        let strangers: Vec<_> = (0..4).map(|_| queue.admit(false).unwrap()).collect();
        assert!(matches!(queue.admit(false), Err(Error::Busy(_))));
        let known: Vec<_> = (0..2).map(|_| queue.admit(true).unwrap()).collect();
        assert!(matches!(queue.admit(true), Err(Error::Busy(_))));
        assert_eq!(queue.pending.get(), 6);
        drop((strangers, known));
        assert_eq!(queue.pending.get(), 0);
        assert!(queue.admit(false).is_ok());
    }
}
