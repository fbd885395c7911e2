//! Who is connected in a room, over all replicas: each replica enters its own into a table, tells
//! the others, and reads the rooms that it follows again when one of them tells.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::change::Change;
use super::hub::{Hub, list_members};
use crate::error::Error;
use crate::models::presence;

/// How often a replica says that it lives, and looks for those that do not.
const BEAT: Duration = Duration::from_secs(2);
/// Presences entered or removed at once.
const BATCH: usize = 1000;
/// What happens in a room within this is told at once.
const GATHER: Duration = Duration::from_millis(50);

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

    fn take_moved(&self) -> Vec<(Uuid, Uuid)> {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = moved.iter().copied().take(BATCH).collect();
        for pair in &taken {
            moved.remove(pair);
        }
        taken
    }

    fn take_stale(&self) -> HashSet<Uuid> {
        mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hub {
    /// Enters who comes and goes here, and clears away what dead replicas left, for ever.
    pub(super) async fn keep_presence(&self) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                _ = beat.tick() => self.beat().await,
                () = self.presence().has_moved.notified() => self.enter_moved().await,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "presence_failed");
            }
        }
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut turn = self.connect().await?;
        if presence::beat(&mut turn.connection, self.presence().replica).await? {
            // Nobody knew us, or we were taken for dead.
            for (room, user) in self.list_followers() {
                self.presence().move_user(room, user);
            }
        }
        let batch = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let gone = presence::delete_dead(&mut turn.connection, batch).await?;
        for room_id in gone {
            Change::Presence { room_id }.notify(&mut turn.connection).await?;
        }
        drop(turn);
        self.enter_moved().await
    }

    async fn enter_moved(&self) -> Result<(), Error> {
        loop {
            let moved = self.presence().take_moved();
            if moved.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.enter(&moved).await {
                // The next beat tries again.
                let mut waiting =
                    self.presence().moved.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.extend(moved);
                return Err(error);
            }
        }
    }

    /// Enters in one transaction who is here by now and takes out who is not.
    async fn enter(&self, moved: &[(Uuid, Uuid)]) -> Result<(), Error> {
        let (here, gone): (Vec<_>, Vec<_>) =
            moved.iter().copied().partition(|(room, user)| self.is_followed_by(*room, *user));
        let replica = self.presence().replica;
        let mut turn = self.connect().await?;
        turn.connection
            .transaction(async |connection| {
                let mut rooms = presence::insert(connection, replica, &here).await?;
                rooms.extend(presence::delete(connection, replica, &gone).await?);
                for room_id in rooms {
                    Change::Presence { room_id }.notify(connection).await?;
                }
                Ok(())
            })
            .await
    }

    /// Reads rooms again that somebody came to or left, for ever.
    pub(super) async fn tell_presence(&self) {
        loop {
            self.presence().is_stale.notified().await;
            sleep(GATHER).await;
            for room in self.presence().take_stale() {
                if let Err(error) = self.tell_present(room).await {
                    tracing::warn!(%error, "presence_failed");
                    self.presence().look_at([room]);
                    sleep(BEAT).await;
                }
            }
        }
    }

    async fn tell_present(&self, room: Uuid) -> Result<(), Error> {
        if self.users_of(room).is_empty() {
            return Ok(());
        }
        let mut turn = self.connect().await?;
        let present = presence::list_users(&mut turn.connection, room).await?;
        // As with messages: members are asked after the reading.
        let members = list_members(&mut turn.connection, room, &self.users_of(room)).await?;
        self.hand_out_present(room, &Arc::new(present), &members);
        Ok(())
    }

    /// Takes out everybody here, when we go.
    pub(super) async fn leave(&self) {
        let leaving = async {
            let mut turn = self.connect().await?;
            let replica = self.presence().replica;
            for room_id in presence::delete_replica(&mut turn.connection, replica).await? {
                Change::Presence { room_id }.notify(&mut turn.connection).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = leaving.await {
            tracing::warn!(%error, "presence_failed");
        }
    }
}
