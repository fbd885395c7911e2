//! What requests of sessions with the newer cookies come to, kept in memory until it is written
//! down: no request waits for that.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::models::cookie_rollout_session::Seen;

/// As many sessions are remembered between two writings; more would be another's attempt to fill
/// the memory, and are not counted.
const MOST: usize = 50_000;

/// What a request of a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// What it should.
    Well,
    /// A page of ours sent a wrong CSRF token, or none.
    CsrfRefused,
    /// Its refresh was refused, or failed.
    RefreshFailed,
}

#[derive(Default)]
struct Note {
    csrf_refused: bool,
    failed: bool,
}

/// By session.
#[derive(Default)]
pub(super) struct Notes(Mutex<HashMap<Uuid, Note>>);

impl Notes {
    pub(super) fn add(&self, session: Uuid, sign: Sign) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= MOST && !notes.contains_key(&session) {
            return;
        }
        let note = notes.entry(session).or_default();
        note.csrf_refused |= sign == Sign::CsrfRefused;
        note.failed |= sign == Sign::RefreshFailed;
    }

    /// Everything, which is forgotten here.
    pub(super) fn take(&self) -> Seen {
        let notes = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = Seen::default();
        for (id, note) in notes {
            seen.ids.push(id);
            seen.csrf_refused.push(note.csrf_refused);
            seen.failed.push(note.failed);
        }
        seen
    }

    /// What could not be written is kept.
    pub(super) fn put_back(&self, seen: &Seen) {
        let refused = seen.csrf_refused.iter().zip(&seen.failed);
        for (id, (csrf_refused, failed)) in seen.ids.iter().zip(refused) {
            self.add(*id, Sign::Well);
            if *csrf_refused {
                self.add(*id, Sign::CsrfRefused);
            }
            if *failed {
                self.add(*id, Sign::RefreshFailed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_noted_once_with_all_that_came_of_it_and_kept_until_it_is_written() {
        let (notes, id) = (Notes::default(), Uuid::new_v4());
        for sign in [Sign::Well, Sign::CsrfRefused, Sign::RefreshFailed, Sign::Well] {
            notes.add(id, sign);
        }
        let taken = notes.take();
        let all = Seen { ids: vec![id], csrf_refused: vec![true], failed: vec![true] };
        assert_eq!(taken, all);
        assert_eq!(notes.take(), Seen::default());
        notes.put_back(&taken);
        assert_eq!(notes.take(), all);
    }
}
