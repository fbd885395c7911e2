//! Calls that several callers of one process wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::http::correlated;
use tokio::sync::watch;
use uuid::Uuid;

/// A grant and the scope asked for.
pub(super) type Key = (Uuid, String);

type Landed<T> = watch::Receiver<Option<T>>;

/// What is under way in this process; clones share it.
pub(super) struct Flights<T>(Arc<Mutex<HashMap<Key, Landed<T>>>>);

/// A place on a flight.
pub(super) struct Seat<T> {
    landed: Landed<T>,
    /// Whether the flight was under way already.
    pub(super) joined: bool,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// A seat on the flight of `key`, which `start` begins where none is under way. It goes on
    /// when whoever waits for it has gone: a token that has been sent must find its successor's
    /// place.
    pub(super) fn join<F>(&self, key: Key, start: impl FnOnce() -> F) -> Seat<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flights = self.lock();
        if let Some(landed) = flights.get(&key) {
            return Seat { landed: landed.clone(), joined: true };
        }
        let (sender, landed) = watch::channel(None);
        flights.insert(key.clone(), landed.clone());
        let (flight, entry) = (start(), Entry { flights: self.clone(), key });
        tokio::spawn(correlated(async move {
            let outcome = flight.await;
            drop(entry);
            sender.send_replace(Some(outcome));
        }));
        Seat { landed, joined: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Landed<T>>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Seat<T> {
    /// Waits for the flight's outcome; none where it was broken off.
    pub(super) async fn landed(mut self) -> Option<T> {
        self.landed.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<T> Clone for Flights<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Removes its flight when it is dropped, be it that the flight panicked or its runtime ended.
struct Entry<T> {
    flights: Flights<T>,
    key: Key,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: &str) -> Key {
        (Uuid::nil(), scope.to_owned())
    }

    #[tokio::test]
    async fn all_who_ask_meanwhile_share_one_outcome() {
        let flights = Flights::default();
        let first = flights.join(key("a"), || std::future::ready(1));
        let second = flights.join(key("a"), || std::future::ready(2));
        let other = flights.join(key("b"), || std::future::ready(3));
        assert_eq!((first.joined, second.joined, other.joined), (false, true, false));
        assert_eq!((first.landed().await, second.landed().await), (Some(1), Some(1)));
        assert_eq!(other.landed().await, Some(3));
        assert_eq!(flights.join(key("a"), || std::future::ready(4)).landed().await, Some(4));
    }

    #[tokio::test]
    async fn a_flight_goes_on_when_nobody_waits_for_it() {
        let flights = Flights::default();
        let (sender, done) = tokio::sync::oneshot::channel();
        drop(flights.join(key("a"), || async move { sender.send(()).is_ok() }));
        assert!(done.await.is_ok());
    }

    #[tokio::test]
    async fn a_flight_that_breaks_off_is_told_and_another_may_begin() {
        let flights = Flights::default();
        let broken = flights.join(key("a"), || async { panic!("broken off") });
        assert_eq!(broken.landed().await, None::<u8>);
        assert_eq!(flights.join(key("a"), || std::future::ready(1)).landed().await, Some(1));
    }
}
