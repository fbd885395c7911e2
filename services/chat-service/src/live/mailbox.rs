use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::frame::MessageFrame;
use super::presence::Present;

/// Messages of one room that wait for one connection at most; past that it reads them itself.
const MAX_WAITING: usize = 256;
/// Bytes that wait for one connection, all its rooms together.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// What the hub has for a connection about a room.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// Messages, in order, to one who was a member after they were stored.
    Messages(Vec<MessageFrame>),
    /// Something may be missing or forbidden: look for yourself.
    Check,
}

impl Delivery {
    fn bytes(&self) -> usize {
        match self {
            Self::Messages(frames) => frames.iter().map(|frame| frame.text.len()).sum(),
            Self::Check => 0,
        }
    }

    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Messages(mut waiting), Self::Messages(more))
                if waiting.len() + more.len() <= MAX_WAITING =>
            {
                waiting.extend(more);
                Self::Messages(waiting)
            }
            _ => Self::Check,
        }
    }
}

/// All that waits for a connection.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) rooms: HashMap<Uuid, Delivery>,
    /// Who is in which room by now.
    pub(super) present: HashMap<Uuid, Present>,
    bytes: usize,
}

/// Where the hub leaves deliveries for one connection; bounded by its rooms, and never in the
/// hub's way.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

impl Mailbox {
    pub(super) fn put(&self, room: Uuid, delivery: Delivery) {
        let mut waiting = self.lock();
        let earlier = waiting.rooms.remove(&room);
        waiting.bytes -= earlier.as_ref().map_or(0, Delivery::bytes);
        let merged = match earlier {
            Some(earlier) => earlier.and(delivery),
            None => delivery,
        };
        let bytes = waiting.bytes + merged.bytes();
        if bytes <= MAX_BYTES {
            waiting.bytes = bytes;
            waiting.rooms.insert(room, merged);
        } else {
            waiting.rooms.insert(room, Delivery::Check);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Only the last word counts.
    pub(super) fn put_present(&self, room: Uuid, present: &Present) {
        self.lock().present.insert(room, present.clone());
        self.filled.notify_one();
    }

    /// Waits until there is something and takes all of it.
    pub(super) async fn take(&self) -> Waiting {
        loop {
            let taken = mem::take(&mut *self.lock());
            if !taken.rooms.is_empty() || !taken.present.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(seqs: std::ops::Range<i64>) -> Delivery {
        Delivery::Messages(seqs.map(|seq| MessageFrame { seq, text: "".into() }).collect())
    }

    #[tokio::test]
    async fn deliveries_wait_in_order_and_overflow_into_a_check() {
        let (mailbox, room) = (Mailbox::default(), Uuid::new_v4());
        mailbox.put(room, messages(1..3));
        mailbox.put(room, messages(3..4));
        let taken = mailbox.take().await.rooms;
        let Some(Delivery::Messages(waiting)) = taken.get(&room) else { panic!("{taken:?}") };
        assert_eq!(waiting.iter().map(|frame| frame.seq).collect::<Vec<_>>(), [1, 2, 3]);

        mailbox.put(room, messages(0..200));
        mailbox.put(room, messages(200..300));
        mailbox.put(room, messages(300..301));
        assert!(matches!(mailbox.take().await.rooms[&room], Delivery::Check));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_over_all_rooms() {
        let (mailbox, one, two) = (Mailbox::default(), Uuid::new_v4(), Uuid::new_v4());
        let large = |seq| {
            let text = "x".repeat(MAX_BYTES / 2).into();
            Delivery::Messages(vec![MessageFrame { seq, text }])
        };
        for room in [one, two] {
            mailbox.put(room, large(1));
        }
        mailbox.put(two, large(2));
        mailbox.put(one, messages(2..3));
        let taken = mailbox.take().await.rooms;
        assert!(matches!(taken[&one], Delivery::Messages(_)));
        assert!(matches!(taken[&two], Delivery::Check));
        mailbox.put(two, large(3));
        assert!(matches!(mailbox.take().await.rooms[&two], Delivery::Messages(_)));
    }
}
