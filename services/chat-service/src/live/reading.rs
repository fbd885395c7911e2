use bytestring::ByteString;
use uuid::Uuid;

use super::frame::ServerFrame;
use super::hub::Subscription;
use super::presence::Present;

/// Users named in one frame.
const NAMED: usize = 500;

/// How far a connection has come in a room.
pub(super) struct Reading {
    /// The last message sent.
    pub(super) seq: i64,
    /// Whether the next messages, or the right to them, have to be looked up.
    pub(super) behind: bool,
    /// Who is there, as far as the client was told.
    told: Present,
    _subscription: Subscription,
}

/// What to do with a message that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was sent before.
    Skip,
    /// It is the next.
    Send,
    /// Something is missing before it.
    LookUp,
}

impl Reading {
    /// From `seq` on.
    pub(super) fn new(seq: i64, behind: bool, subscription: Subscription) -> Self {
        Self { seq, behind, told: Present::default(), _subscription: subscription }
    }

    /// What to say of those who are in `room` by now.
    pub(super) fn tell(&mut self, room_id: Uuid, present: Present) -> Vec<ByteString> {
        let joined: Vec<Uuid> = present.difference(&self.told).copied().collect();
        let left: Vec<Uuid> = self.told.difference(&present).copied().collect();
        self.told = present;
        let joined = joined
            .chunks(NAMED)
            .map(|joined| ServerFrame::Presence { room_id, joined, left: &[] }.encode());
        let left = left
            .chunks(NAMED)
            .map(|left| ServerFrame::Presence { room_id, joined: &[], left }.encode());
        joined.chain(left).collect()
    }

    pub(super) fn step(&self, seq: i64) -> Step {
        step(self.seq, seq)
    }
}

fn step(last: i64, seq: i64) -> Step {
    if seq <= last {
        Step::Skip
    } else if seq == last + 1 {
        Step::Send
    } else {
        Step::LookUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_message_is_sent() {
        let steps = [3, 4, 5, 6].map(|seq| step(4, seq));
        assert_eq!(steps, [Step::Skip, Step::Skip, Step::Send, Step::LookUp]);
    }
}
