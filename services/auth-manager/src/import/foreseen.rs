use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::models::grant::Grant;

/// What a dry run would have stored: each of its rows is undone before the next one, which would
/// meet it.
#[derive(Default)]
pub(super) struct Foreseen {
    grants: HashMap<Key, Stored>,
    owners: HashMap<(String, String), Uuid>,
}

/// Provider, subject, client, session, type.
type Key = [String; 5];

/// A grant as an import finds it.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) token_hash: Vec<u8>,
    pub(super) issued_at: DateTime<Utc>,
    /// The row that brought it, where an import did.
    pub(super) row: Option<String>,
}

impl Foreseen {
    pub(super) fn find(&self, grant: &Grant) -> Option<Stored> {
        self.grants.get(&key(grant)).cloned()
    }

    pub(super) fn store(&mut self, grant: &Grant, stored: Stored) {
        self.grants.insert(key(grant), stored);
    }

    /// Whether the account would be the user's.
    pub(super) fn links(&mut self, issuer: &str, subject: &str, user: Uuid) -> bool {
        *self.owners.entry((issuer.to_owned(), subject.to_owned())).or_insert(user) == user
    }
}

fn key(grant: &Grant) -> Key {
    let key = grant.key();
    [key.provider, key.subject, key.client_id, key.session_state_id, &grant.token_type]
        .map(str::to_owned)
}
