//! Who is connected in a room, over all replicas: what this one still has to tell and to read.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// Presences entered or removed at once.
pub(super) const BATCH: usize = 1000;

/// Everybody connected in a room; shared by all who are told.
pub(super) type Present = Arc<BTreeSet<Uuid>>;

/// What this replica still has to enter, and to read.
pub(super) struct Presence {
    /// Names this replica.
    replica: Uuid,
    /// Pairs of room and user that came or went.
    moved: Mutex<HashSet<(Uuid, Uuid)>>,
    has_moved: Notify,
    /// Rooms whose subscribers have to be told.
    stale: Mutex<HashSet<Uuid>>,
    is_stale: Notify,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            replica: Uuid::new_v4(),
            moved: Mutex::default(),
            has_moved: Notify::new(),
            stale: Mutex::default(),
            is_stale: Notify::new(),
        }
    }
}

impl Presence {
    /// `user` came to `room` here, or went: whichever it was is looked up when it is entered.
    pub(super) fn move_user(&self, room: Uuid, user: Uuid) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).insert((room, user));
        self.has_moved.notify_one();
    }

    /// Those who follow `rooms` here have to be told who is there.
    pub(super) fn look_at(&self, rooms: impl IntoIterator<Item = Uuid>) {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(rooms);
        self.is_stale.notify_one();
    }

    /// The id of this replica.
    pub(super) fn replica(&self) -> Uuid {
        self.replica
    }

    /// Waits until somebody has come or gone.
    pub(super) async fn has_moved(&self) {
        self.has_moved.notified().await;
    }

    /// Waits until there are rooms to look at.
    pub(super) async fn is_stale(&self) {
        self.is_stale.notified().await;
    }

    /// Who came or went, as many as are entered at once.
    pub(super) fn take_moved(&self) -> Vec<(Uuid, Uuid)> {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = moved.iter().copied().take(BATCH).collect();
        for pair in &taken {
            moved.remove(pair);
        }
        taken
    }

    /// What could not be entered.
    pub(super) fn put_back(&self, moved: Vec<(Uuid, Uuid)>) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).extend(moved);
    }

    /// The rooms to look at.
    pub(super) fn take_stale(&self) -> HashSet<Uuid> {
        mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
