//! Enters this replica's own into the table, tells the others, and reads the rooms that it follows
//! again when one of them tells.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::change::Change;
use super::hub::{Hub, list_members};
use super::presence::BATCH;
use crate::error::Error;
use crate::models::presence;

/// How often a replica says that it lives, and looks for those that do not.
const BEAT: Duration = Duration::from_secs(2);
/// What happens in a room within this is told at once.
const GATHER: Duration = Duration::from_millis(50);

impl Hub {
    /// Enters who comes and goes here, and clears away what dead replicas left, for ever.
    pub(super) async fn keep_presence(&self) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                _ = beat.tick() => self.beat().await,
                () = self.presence().has_moved() => self.enter_moved().await,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "presence_failed");
            }
        }
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut turn = self.connect().await?;
        if presence::beat(&mut turn.connection, self.presence().replica()).await? {
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
                self.presence().put_back(moved);
                return Err(error);
            }
        }
    }

    /// Enters in one transaction who is here by now and takes out who is not.
    async fn enter(&self, moved: &[(Uuid, Uuid)]) -> Result<(), Error> {
        let (here, gone): (Vec<_>, Vec<_>) =
            moved.iter().copied().partition(|(room, user)| self.is_followed_by(*room, *user));
        let replica = self.presence().replica();
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
            self.presence().is_stale().await;
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
            let replica = self.presence().replica();
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
