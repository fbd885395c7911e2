//! Who follows which rooms, and what of these was handed out: decisions without I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::frame::MessageFrame;
use super::mailbox::{Delivery, Mailbox};
use super::presence::Present;

/// Rooms with subscribers on this replica.
#[derive(Default)]
pub(super) struct Rooms {
    followed: HashMap<Uuid, Followed>,
    last_subscription: u64,
}

struct Followed {
    /// The number of its first subscription. A reading that began for an earlier following of the
    /// same room ends without a word in this one.
    generation: u64,
    subscribers: HashMap<u64, Subscriber>,
    /// The newest message that exists, as far as we were told; 0 while we were told nothing.
    newest: i64,
    /// The newest message that was handed out, or was there before anybody followed.
    handed_out: Option<i64>,
    /// Whether a task is reading: one at a time, and it goes on to the newest.
    reading: bool,
}

struct Subscriber {
    user_id: Uuid,
    mailbox: Arc<Mailbox>,
}

impl Followed {
    /// The number to read after, where there is anything to read.
    fn next_read(&self) -> Option<i64> {
        if self.newest == 0 {
            return None;
        }
        let after = self.handed_out.unwrap_or(self.newest - 1);
        (after < self.newest).then_some(after)
    }

    fn check(&self, room: Uuid, concerned: impl Fn(&Subscriber) -> bool) {
        for subscriber in self.subscribers.values().filter(|one| concerned(one)) {
            subscriber.mailbox.put(room, Delivery::Check);
        }
    }
}

impl Rooms {
    pub(super) fn count(&self) -> usize {
        self.followed.len()
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.followed.keys().copied().collect()
    }

    /// Adds a subscriber; the number is the subscription's.
    pub(super) fn subscribe(&mut self, room: Uuid, user_id: Uuid, mailbox: &Arc<Mailbox>) -> u64 {
        self.last_subscription += 1;
        let number = self.last_subscription;
        let followed = self.followed.entry(room).or_insert_with(|| Followed {
            generation: number,
            subscribers: HashMap::new(),
            newest: 0,
            handed_out: None,
            reading: false,
        });
        followed.subscribers.insert(number, Subscriber { user_id, mailbox: Arc::clone(mailbox) });
        number
    }

    pub(super) fn unsubscribe(&mut self, room: Uuid, number: u64) {
        let Some(followed) = self.followed.get_mut(&room) else { return };
        followed.subscribers.remove(&number);
        if followed.subscribers.is_empty() {
            self.followed.remove(&room);
        }
    }

    /// A subscriber found the room at `seq`: only what comes after it has to be handed out.
    pub(super) fn begin_at(&mut self, room: Uuid, seq: i64) {
        if let Some(followed) = self.followed.get_mut(&room)
            && followed.newest == 0
        {
            followed.newest = seq;
            followed.handed_out = Some(seq);
        }
    }

    /// A message exists; answers the generation of a reading that has to begin now, if one has to.
    pub(super) fn hear_of(&mut self, room: Uuid, seq: i64) -> Option<u64> {
        let followed = self.followed.get_mut(&room)?;
        followed.newest = followed.newest.max(seq);
        if followed.reading || followed.next_read().is_none() {
            return None;
        }
        followed.reading = true;
        Some(followed.generation)
    }

    /// Where a reading has to go on, if it has to; else it is over.
    pub(super) fn next_read(&mut self, room: Uuid, generation: u64) -> Option<i64> {
        let followed = self.of(room, generation)?;
        let next = followed.next_read();
        followed.reading = next.is_some();
        next
    }

    /// Puts `frames`, never none, into the mailboxes of those who are in `members`; the others
    /// have to look for themselves.
    pub(super) fn hand_out(
        &mut self,
        room: Uuid,
        generation: u64,
        frames: &[MessageFrame],
        members: &HashSet<Uuid>,
    ) {
        let Some(followed) = self.of(room, generation) else { return };
        followed.handed_out = frames.last().map(|frame| frame.seq);
        for subscriber in followed.subscribers.values() {
            let delivery = if members.contains(&subscriber.user_id) {
                Delivery::Messages(frames.to_vec())
            } else {
                Delivery::Check
            };
            subscriber.mailbox.put(room, delivery);
        }
    }

    /// Leaves what can't be read to the connections themselves.
    pub(super) fn give_up(&mut self, room: Uuid, generation: u64) {
        if let Some(followed) = self.of(room, generation) {
            followed.handed_out = Some(followed.newest);
            followed.check(room, |_| true);
        }
    }

    /// `user` has to look whether they are still in `room`.
    pub(super) fn check_user(&self, room: Uuid, user: Uuid) {
        if let Some(followed) = self.followed.get(&room) {
            followed.check(room, |subscriber| subscriber.user_id == user);
        }
    }

    /// Who follows `room`.
    pub(super) fn users_of(&self, room: Uuid) -> HashSet<Uuid> {
        self.followed.get(&room).map_or_else(HashSet::new, |followed| {
            followed.subscribers.values().map(|subscriber| subscriber.user_id).collect()
        })
    }

    /// Everybody who follows a room, by room.
    pub(super) fn followers(&self) -> Vec<(Uuid, Uuid)> {
        let users = |room: &Uuid| self.users_of(*room).into_iter().collect::<Vec<_>>();
        self.followed
            .keys()
            .flat_map(|room| users(room).into_iter().map(|user| (*room, user)))
            .collect()
    }

    /// Whether `user` follows `room`.
    pub(super) fn is_followed_by(&self, room: Uuid, user: Uuid) -> bool {
        let followed = self.followed.get(&room);
        followed.is_some_and(|one| one.subscribers.values().any(|one| one.user_id == user))
    }

    /// Tells those who are in `members` who is there.
    pub(super) fn hand_out_present(&self, room: Uuid, present: &Present, members: &HashSet<Uuid>) {
        let Some(followed) = self.followed.get(&room) else { return };
        for subscriber in followed.subscribers.values() {
            if members.contains(&subscriber.user_id) {
                subscriber.mailbox.put_present(room, present);
            }
        }
    }

    fn of(&mut self, room: Uuid, generation: u64) -> Option<&mut Followed> {
        self.followed.get_mut(&room).filter(|followed| followed.generation == generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(rooms: &mut Rooms, room: Uuid) -> u64 {
        rooms.subscribe(room, Uuid::nil(), &Arc::default())
    }

    #[test]
    fn a_reading_left_over_from_an_earlier_following_ends_in_the_next() {
        let (mut rooms, room) = (Rooms::default(), Uuid::new_v4());
        let first = follow(&mut rooms, room);
        let reading = rooms.hear_of(room, 900).unwrap();
        assert_eq!(rooms.next_read(room, reading), Some(899));
        rooms.unsubscribe(room, first);
        assert_eq!(rooms.count(), 0);
        let second = follow(&mut rooms, room);
        assert_eq!(rooms.next_read(room, reading), None);
        rooms.give_up(room, reading);
        rooms.hand_out(room, reading, &[MessageFrame { seq: 3, text: "".into() }], &HashSet::new());
        rooms.begin_at(room, 900);
        assert_eq!(rooms.hear_of(room, 902), Some(second));
        assert_eq!(rooms.next_read(room, second), Some(900));
    }

    #[test]
    fn nothing_is_read_of_a_room_of_which_nothing_was_heard() {
        let (mut rooms, room) = (Rooms::default(), Uuid::new_v4());
        let generation = follow(&mut rooms, room);
        assert_eq!(rooms.next_read(room, generation), None);
        rooms.give_up(room, generation);
        assert_eq!(rooms.next_read(room, generation), None);
        rooms.begin_at(room, 5);
        // A look at a room that has not moved begins no reading; one that has, a single one.
        assert_eq!(rooms.hear_of(room, 5), None);
        assert_eq!(rooms.hear_of(room, 7), Some(generation));
        assert_eq!(rooms.hear_of(room, 8), None);
        assert_eq!(rooms.next_read(room, generation), Some(5));
    }
}
