use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::frame::MessageFrame;

/// Messages of one room that wait for one connection at most; past that it reads them itself.
const MAX_WAITING: usize = 256;

/// What the hub has for a connection about a room.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// Messages, in order, to one who was a member after they were stored.
    Messages(Vec<MessageFrame>),
    /// Something may be missing or forbidden: look for yourself.
    Check,
}

impl Delivery {
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

/// Where the hub leaves deliveries for one connection; bounded by its rooms, and never in the
/// hub's way.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: Mutex<HashMap<Uuid, Delivery>>,
    filled: Notify,
}

impl Mailbox {
    pub(super) fn put(&self, room: Uuid, delivery: Delivery) {
        let mut waiting = self.lock();
        let merged = match waiting.remove(&room) {
            Some(earlier) => earlier.and(delivery),
            None => delivery,
        };
        waiting.insert(room, merged);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits until there is something and takes all of it.
    pub(super) async fn take(&self) -> HashMap<Uuid, Delivery> {
        loop {
            let taken = mem::take(&mut *self.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Delivery>> {
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
        let taken = mailbox.take().await;
        let Some(Delivery::Messages(waiting)) = taken.get(&room) else { panic!("{taken:?}") };
        assert_eq!(waiting.iter().map(|frame| frame.seq).collect::<Vec<_>>(), [1, 2, 3]);

        mailbox.put(room, messages(0..200));
        mailbox.put(room, messages(200..300));
        mailbox.put(room, messages(300..301));
        assert!(matches!(mailbox.take().await[&room], Delivery::Check));
    }
}
