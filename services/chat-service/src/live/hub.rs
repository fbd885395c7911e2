use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::database::{self, Database, Pool, Wake};
use common::settings::Period;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::PAGE;
use super::change::{CHANNEL, Change};
use super::followed::Rooms;
use super::frame::MessageFrame;
use super::mailbox::Mailbox;
use super::presence::{Presence, Present};
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::message::{self, Range};
use crate::models::{room, room_member};

/// What this replica follows, and how it hears of it. Clones share it.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    /// Half of the pool: however many connections have to look something up at once, requests
    /// still get theirs.
    turns: Semaphore,
    metrics: ServiceMetrics,
    rooms: Mutex<Rooms>,
    presence: Presence,
    /// Whether changes may have been missed since the last look.
    missed: AtomicBool,
    look: Notify,
}

/// As long as it is held, the room's deliveries arrive in the mailbox.
pub(super) struct Subscription {
    hub: Hub,
    room: Uuid,
    user: Uuid,
    number: u64,
}

/// A database connection of the half that live delivery may use.
pub(super) struct Turn<'a> {
    pub(super) connection: database::Connection<'a>,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Hub {
    /// Starts to listen for changes and to look for missed ones, until `draining`.
    pub(crate) fn start(
        pool: Pool,
        (database, connections): (Database, u32),
        poll_interval: Period,
        metrics: ServiceMetrics,
        draining: CancellationToken,
    ) -> Self {
        let half = usize::try_from(connections / 2).unwrap_or(usize::MAX);
        let inner = Inner {
            pool,
            turns: Semaphore::new(half.clamp(1, Semaphore::MAX_PERMITS)),
            metrics,
            rooms: Mutex::default(),
            presence: Presence::default(),
            missed: AtomicBool::new(false),
            look: Notify::new(),
        };
        let hub = Self { inner: Arc::new(inner) };
        let live = hub.clone();
        hub.inner.metrics.tasks.run("live_delivery", move || {
            live.clone().follow(database.clone(), poll_interval, draining.clone())
        });
        hub
    }

    async fn follow(self, database: Database, poll_interval: Period, draining: CancellationToken) {
        tokio::select! {
            () = draining.cancelled() => {}
            () = database::listen(database, CHANNEL, |wake| self.hear(&wake)) => {}
            () = self.poll(poll_interval) => {}
            () = self.keep_presence() => {}
            () = self.tell_presence() => {}
        }
        self.leave().await;
    }

    /// Follows a room for a connection of `user_id`; whether they may is theirs to ask afterwards.
    pub(super) fn subscribe(
        &self,
        room: Uuid,
        user_id: Uuid,
        mailbox: &Arc<Mailbox>,
    ) -> Subscription {
        let mut rooms = self.lock();
        let number = rooms.subscribe(room, user_id, mailbox);
        self.count(&rooms);
        Subscription { hub: self.clone(), room, user: user_id, number }
    }

    /// A subscriber, who may read the room, found its newest message to be `seq`.
    pub(super) fn begin_at(&self, room: Uuid, user: Uuid, seq: i64) {
        self.lock().begin_at(room, seq);
        self.inner.presence.move_user(room, user);
        self.inner.presence.look_at([room]);
    }

    /// Waits for its turn at the database.
    pub(super) async fn connect(&self) -> Result<Turn<'_>, Error> {
        // It is never closed.
        let permit = self.inner.turns.acquire().await.ok();
        Ok(Turn { connection: self.inner.pool.get().await?, _permit: permit })
    }

    fn hear(&self, wake: &Wake) {
        match wake {
            Wake::Connected => {
                self.inner.missed.store(true, Ordering::Release);
                self.inner.look.notify_one();
            }
            Wake::Notified(payload) => match payload.parse() {
                Ok(Change::Message { room_id, seq }) => self.read_to(room_id, seq),
                Ok(Change::Left { room_id, user_id }) => self.lock().check_user(room_id, user_id),
                Ok(Change::Presence { room_id }) => self.inner.presence.look_at([room_id]),
                // A newer replica may speak of things that we do not know yet.
                Err(()) => tracing::debug!("unknown_change"),
            },
            Wake::Lost => tracing::warn!("listen_lost"),
        }
    }

    /// Looks for what was said and not heard: now and then, and after each break.
    async fn poll(&self, interval: Period) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval.0) => {}
                () = self.inner.look.notified() => {}
            }
            let missed = self.inner.missed.swap(false, Ordering::AcqRel);
            if let Err(error) = self.look(missed).await {
                tracing::warn!(%error, "poll_failed");
                self.inner.missed.fetch_or(missed, Ordering::AcqRel);
            }
        }
    }

    /// Asks once for all rooms, so that only those that moved are read; and after a break who has
    /// left meanwhile.
    async fn look(&self, after_a_break: bool) -> Result<(), Error> {
        let ids = self.lock().ids();
        if ids.is_empty() {
            return Ok(());
        }
        if after_a_break {
            self.inner.presence.look_at(ids.iter().copied());
        }
        let mut turn = self.connect().await?;
        for (room, seq) in room::list_last_seqs(&mut turn.connection, &ids).await? {
            self.read_to(room, seq);
        }
        for room in ids.into_iter().filter(|_| after_a_break) {
            let users = self.lock().users_of(room);
            let members = list_members(&mut turn.connection, room, &users).await?;
            let rooms = self.lock();
            users.difference(&members).for_each(|user| rooms.check_user(room, *user));
        }
        Ok(())
    }

    /// Sees to it that messages up to `seq` are handed out.
    fn read_to(&self, room: Uuid, seq: i64) {
        let Some(generation) = self.lock().hear_of(room, seq) else { return };
        let hub = self.clone();
        let reading = move || hub.clone().read_on(room, generation);
        self.inner.metrics.tasks.run("room_reading", reading);
    }

    async fn read_on(self, room: Uuid, generation: u64) {
        while let Some(after) = self.next_read(room, generation) {
            if let Err(error) = self.hand_out(room, generation, after).await {
                tracing::warn!(%error, "hand_out_failed");
                self.lock().give_up(room, generation);
            }
        }
    }

    fn next_read(&self, room: Uuid, generation: u64) -> Option<i64> {
        self.lock().next_read(room, generation)
    }

    /// Reads a page once and puts it into the mailbox of every subscriber who is a member.
    async fn hand_out(&self, room: Uuid, generation: u64, after: i64) -> Result<(), Error> {
        let mut turn = self.connect().await?;
        let messages = message::list(&mut turn.connection, room, Range::After(after), PAGE).await?;
        // Subscribers and members are asked after the reading: a subscription made before any of
        // these messages is among them, a member who left before is not.
        let users = self.lock().users_of(room);
        let members = list_members(&mut turn.connection, room, &users).await?;
        drop(turn);
        let frames: Vec<MessageFrame> = messages.into_iter().map(MessageFrame::from).collect();
        let mut rooms = self.lock();
        if frames.is_empty() {
            rooms.give_up(room, generation);
        } else {
            rooms.hand_out(room, generation, &frames, &members);
        }
        Ok(())
    }

    pub(super) fn presence(&self) -> &Presence {
        &self.inner.presence
    }

    pub(super) fn list_followers(&self) -> Vec<(Uuid, Uuid)> {
        self.lock().followers()
    }

    pub(super) fn is_followed_by(&self, room: Uuid, user: Uuid) -> bool {
        self.lock().is_followed_by(room, user)
    }

    pub(super) fn users_of(&self, room: Uuid) -> HashSet<Uuid> {
        self.lock().users_of(room)
    }

    pub(super) fn hand_out_present(&self, room: Uuid, present: &Present, members: &HashSet<Uuid>) {
        self.lock().hand_out_present(room, present, members);
    }

    fn count(&self, rooms: &Rooms) {
        let count = i64::try_from(rooms.count()).unwrap_or(i64::MAX);
        self.inner.metrics.rooms_followed.set(count);
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn list_members(
    connection: &mut database::Connection<'_>,
    room: Uuid,
    users: &HashSet<Uuid>,
) -> Result<HashSet<Uuid>, Error> {
    let users: Vec<Uuid> = users.iter().copied().collect();
    let members = room_member::list_among(connection, room, &users).await?;
    Ok(members.into_iter().collect())
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut rooms = self.hub.lock();
        rooms.unsubscribe(self.room, self.number);
        self.hub.count(&rooms);
        drop(rooms);
        self.hub.inner.presence.move_user(self.room, self.user);
    }
}
