use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::database::{self, Pool, Wake};
use common::settings::{Period, Secret};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::PAGE;
use super::change::{CHANNEL, Change};
use super::frame::MessageFrame;
use super::mailbox::{Delivery, Mailbox};
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::message::{self, Range};
use crate::models::{room, room_member};

/// Rooms with subscribers on this replica. Clones share it.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    metrics: ServiceMetrics,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    followed: HashMap<Uuid, Followed>,
    last_subscription: u64,
}

#[derive(Default)]
struct Followed {
    subscribers: HashMap<u64, Subscriber>,
    /// The newest message that exists, as far as we were told.
    newest: i64,
    /// The newest message that was handed out; none since the last break, if any.
    handed_out: Option<i64>,
    /// Whether a task is reading: one at a time, and it goes on to the newest.
    reading: bool,
}

#[derive(Clone)]
struct Subscriber {
    user_id: Uuid,
    mailbox: Arc<Mailbox>,
}

impl Followed {
    /// The number to read after, where there is anything to read.
    fn next_read(&self) -> Option<i64> {
        let after = self.handed_out.unwrap_or(self.newest - 1);
        (after < self.newest).then_some(after)
    }

    fn check(&self, room: Uuid, concerned: impl Fn(&Subscriber) -> bool) {
        for subscriber in self.subscribers.values().filter(|one| concerned(one)) {
            subscriber.mailbox.put(room, Delivery::Check);
        }
    }
}

/// As long as it is held, the room's deliveries arrive in the mailbox.
pub(super) struct Subscription {
    hub: Hub,
    room: Uuid,
    number: u64,
}

impl Hub {
    /// Starts to listen for changes and to look for missed ones, until `draining`.
    pub(crate) fn start(
        pool: Pool,
        url: Secret,
        poll_interval: Period,
        metrics: ServiceMetrics,
        draining: CancellationToken,
    ) -> Self {
        let hub = Self { inner: Arc::new(Inner { pool, metrics, rooms: Mutex::default() }) };
        let (listening, polling) = (hub.clone(), hub.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = draining.cancelled() => {}
                () = database::listen(url, CHANNEL, |wake| listening.hear(&wake)) => {}
                () = polling.poll(poll_interval) => {}
            }
        });
        hub
    }

    /// Follows a room for a connection of `user_id`; whether they may is theirs to ask afterwards.
    pub(super) fn subscribe(
        &self,
        room: Uuid,
        user_id: Uuid,
        mailbox: &Arc<Mailbox>,
    ) -> Subscription {
        let mut rooms = self.lock();
        rooms.last_subscription += 1;
        let number = rooms.last_subscription;
        let subscriber = Subscriber { user_id, mailbox: Arc::clone(mailbox) };
        rooms.followed.entry(room).or_default().subscribers.insert(number, subscriber);
        self.count(&rooms);
        Subscription { hub: self.clone(), room, number }
    }

    fn hear(&self, wake: &Wake) {
        match wake {
            Wake::Connected => self.start_over(),
            Wake::Notified(payload) => match payload.parse() {
                Ok(Change::Message { room_id, seq }) => self.read_to(room_id, seq),
                Ok(Change::Left { room_id, user_id }) => {
                    if let Some(followed) = self.lock().followed.get(&room_id) {
                        followed.check(room_id, |subscriber| subscriber.user_id == user_id);
                    }
                }
                // A newer replica may speak of things that we do not know yet.
                Err(()) => tracing::debug!("unknown_change"),
            },
            Wake::Lost => tracing::warn!("listen_lost"),
        }
    }

    /// Whatever was said until now was missed: every connection looks for itself.
    fn start_over(&self) {
        for (room, followed) in &mut self.lock().followed {
            followed.handed_out = None;
            followed.check(*room, |_| true);
        }
    }

    /// Looks for messages whose notification was lost on the way.
    async fn poll(&self, interval: Period) {
        loop {
            tokio::time::sleep(interval.0).await;
            let ids: Vec<Uuid> = self.lock().followed.keys().copied().collect();
            match self.list_last_seqs(&ids).await {
                Ok(seqs) => seqs.into_iter().for_each(|(room, seq)| self.read_to(room, seq)),
                Err(error) => tracing::warn!(%error, "poll_failed"),
            }
        }
    }

    async fn list_last_seqs(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.inner.pool.get().await?;
        Ok(room::list_last_seqs(&mut connection, ids).await?)
    }

    /// Sees to it that messages up to `seq` are handed out.
    fn read_to(&self, room: Uuid, seq: i64) {
        let mut rooms = self.lock();
        let Some(followed) = rooms.followed.get_mut(&room) else { return };
        followed.newest = followed.newest.max(seq);
        if followed.reading || followed.next_read().is_none() {
            return;
        }
        followed.reading = true;
        drop(rooms);
        let hub = self.clone();
        tokio::spawn(async move {
            while let Some(after) = hub.next_read(room) {
                if let Err(error) = hub.hand_out(room, after).await {
                    tracing::warn!(%error, "hand_out_failed");
                    hub.give_up(room);
                }
            }
        });
    }

    fn next_read(&self, room: Uuid) -> Option<i64> {
        let mut rooms = self.lock();
        let followed = rooms.followed.get_mut(&room)?;
        let next = followed.next_read();
        followed.reading = next.is_some();
        next
    }

    /// Reads a page once and puts it into the mailbox of every subscriber who is a member.
    async fn hand_out(&self, room: Uuid, after: i64) -> Result<(), Error> {
        let mut connection = self.inner.pool.get().await?;
        let messages = message::list(&mut connection, room, Range::After(after), PAGE).await?;
        // Subscribers and members are asked after the reading: a subscription made before any of
        // these messages is among them, a member who left before is not.
        let users: HashSet<Uuid> =
            self.lock().followed.get(&room).map_or_else(HashSet::new, |one| {
                one.subscribers.values().map(|subscriber| subscriber.user_id).collect()
            });
        let users: Vec<Uuid> = users.into_iter().collect();
        let members = room_member::list_among(&mut connection, room, &users).await?;
        let members: HashSet<Uuid> = members.into_iter().collect();
        drop(connection);
        let frames: Vec<MessageFrame> = messages.into_iter().map(MessageFrame::from).collect();
        let Some(last) = frames.last().map(|frame| frame.seq) else {
            self.give_up(room);
            return Ok(());
        };
        let mut rooms = self.lock();
        let Some(followed) = rooms.followed.get_mut(&room) else { return Ok(()) };
        followed.handed_out = Some(last);
        for subscriber in followed.subscribers.values() {
            let delivery = if members.contains(&subscriber.user_id) {
                Delivery::Messages(frames.clone())
            } else {
                Delivery::Check
            };
            subscriber.mailbox.put(room, delivery);
        }
        Ok(())
    }

    /// Leaves what can't be read to the connections themselves.
    fn give_up(&self, room: Uuid) {
        if let Some(followed) = self.lock().followed.get_mut(&room) {
            followed.handed_out = Some(followed.newest);
            followed.check(room, |_| true);
        }
    }

    fn count(&self, rooms: &Rooms) {
        let count = i64::try_from(rooms.followed.len()).unwrap_or(i64::MAX);
        self.inner.metrics.rooms_followed.set(count);
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut rooms = self.hub.lock();
        let Some(followed) = rooms.followed.get_mut(&self.room) else { return };
        followed.subscribers.remove(&self.number);
        if followed.subscribers.is_empty() {
            rooms.followed.remove(&self.room);
        }
        self.hub.count(&rooms);
    }
}
