use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use uuid::Uuid;

/// A live connection, counted as long as it lives, however it ends.
pub(super) struct Open(IntGauge);

impl Open {
    pub(super) fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

type ByUser = HashMap<Uuid, usize>;

/// Counts each user's live connections on this replica. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<ByUser>>);

/// Taken for as long as it is held.
pub(crate) struct Place {
    places: Places,
    user: Uuid,
}

impl Places {
    /// One of the `limit` places of `user`, if any is free.
    pub(crate) fn take(&self, user: Uuid, limit: usize) -> Option<Place> {
        let mut by_user = self.lock();
        let taken = by_user.entry(user).or_default();
        if *taken >= limit {
            return None;
        }
        *taken += 1;
        Some(Place { places: self.clone(), user })
    }

    fn lock(&self) -> MutexGuard<'_, ByUser> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_user = self.places.lock();
        if let Some(taken) = by_user.get_mut(&self.user) {
            *taken -= 1;
            if *taken == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_places_and_gets_them_back() {
        let (places, user) = (Places::default(), Uuid::new_v4());
        let first = places.take(user, 2).unwrap();
        let second = places.take(user, 2).unwrap();
        assert!(places.take(user, 2).is_none());
        assert!(places.take(Uuid::new_v4(), 2).is_some());
        drop(first);
        assert!(places.take(user, 2).is_some());
        drop(second);
        assert!(places.lock().is_empty());
    }
}
