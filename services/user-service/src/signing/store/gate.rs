//! Calls that block a thread and may never come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::error::Error;

/// What stands before a library that blocks: what hangs takes no more threads than its places, of
/// the many that password hashes and names' addresses need too.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Gate {
    /// For so many calls at once, each given up after `patience`, the wait for a place included.
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), patience }
    }

    /// Runs `call` on a thread where it may block. [`Error::SignerUnavailable`] where it does not
    /// come back in time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let done = timeout(self.patience, self.run_in_turn(call)).await;
        done.unwrap_or_else(|_| {
            let waited = self.patience.as_secs();
            Err(Error::SignerUnavailable(format!("the token did not answer within {waited} s")))
        })
    }

    async fn run_in_turn<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let internal = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|e| internal(&e))?;
        // The place goes along: a caller that gives up must not free a thread that still hangs.
        let called = spawn_blocking(move || {
            let _place = place;
            call()
        });
        called.await.map_err(|error| internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use test_support::eventually;

    use super::*;

    const PLACES: usize = 2;
    const PATIENCE: Duration = Duration::from_millis(50);

    type Called = tokio::task::JoinHandle<Result<(), Error>>;

    /// A call that has begun, and the end of which is in the test's hands.
    fn hang(gate: &Arc<Gate>) -> (mpsc::Receiver<()>, mpsc::Sender<()>, Called) {
        let ((begun, begins), (end, ends)) = (mpsc::channel(), mpsc::channel());
        let gate = Arc::clone(gate);
        let called = tokio::spawn(async move {
            let call = move || {
                begun.send(()).unwrap();
                // Until the test sends, or is over.
                let _ = ends.recv();
            };
            gate.run(call).await
        });
        (begins, end, called)
    }

    #[tokio::test]
    async fn a_token_that_hangs_holds_no_caller_for_long_and_no_more_threads_than_it_may() {
        let gate = Arc::new(Gate::new(PLACES, PATIENCE));
        let hung: Vec<_> = (0..PLACES).map(|_| hang(&gate)).collect();
        while gate.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let (begun, _, late) = hang(&gate);
        let refused = |called: Result<(), Error>| {
            assert!(matches!(called, Err(Error::SignerUnavailable(_))), "{called:?}");
        };
        refused(late.await.unwrap());
        // Given up before it had a thread.
        assert_eq!(begun.recv(), Err(mpsc::RecvError));
        let mut ends = Vec::new();
        for (begun, end, called) in hung {
            refused(called.await.unwrap());
            assert_eq!(begun.recv(), Ok(()));
            ends.push(end);
        }
        // Their callers are gone, and the threads are still taken.
        assert_eq!(gate.places.available_permits(), 0);
        drop(ends);
        let done = eventually("a place is free", || async { gate.run(|| 7).await.ok() });
        assert_eq!(done.await, 7);
    }
}
