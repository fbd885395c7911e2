use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::forgotten::Forgotten;
use crate::models::user_session::UserSession;

/// How long a replica that is not told may go on believing in a session that ended elsewhere.
const LIFE: Duration = Duration::from_secs(10);
const CAPACITY: u64 = 100_000;

/// Metadata of sessions by provider and sid, never tokens; dropped when a session ends. Clones
/// share it.
#[derive(Clone)]
pub struct SessionCache {
    seen: Cache<Key, Seen>,
    forgotten: Forgotten<Key>,
}

type Key = (String, String);

/// What is known of a provider's session.
#[derive(Clone, Debug)]
pub enum Known {
    /// It was opened here.
    Ours(Arc<UserSession>),
    /// It was opened elsewhere.
    Foreign,
}

/// What was found, and the moment at which it was looked for.
#[derive(Clone)]
struct Seen {
    known: Known,
    looked: u64,
}

impl Default for SessionCache {
    fn default() -> Self {
        let seen = Cache::builder().max_capacity(CAPACITY).time_to_live(LIFE).build();
        Self { seen, forgotten: Forgotten::new(LIFE) }
    }
}

impl SessionCache {
    /// Now; to be read before a session is looked for or stored.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.forgotten.moment()
    }

    /// What is known of the session that `provider` calls `sid`.
    #[must_use]
    pub fn get(&self, provider: &str, sid: &str) -> Option<Known> {
        let key = key(provider, sid);
        let seen = self.seen.get(&key)?;
        (!self.forgotten.since(&key, seen.looked)).then_some(seen.known)
    }

    /// Keeps what was looked for at the moment `looked`: a session's metadata, or that there is
    /// none.
    pub fn put(&self, provider: &str, sid: &str, session: Option<&UserSession>, looked: u64) {
        let ours = session.map(|session| Known::Ours(Arc::new(session.clone())));
        let known = ours.unwrap_or(Known::Foreign);
        self.seen.insert(key(provider, sid), Seen { known, looked });
    }

    /// Forgets a session, one that is being looked for just now too.
    pub fn forget(&self, provider: &str, sid: &str) {
        self.forgotten.forget(key(provider, sid));
    }

    /// The same of all sessions.
    pub fn forget_all(&self) {
        self.forgotten.forget_all();
    }
}

fn key(provider: &str, sid: &str) -> Key {
    (provider.to_owned(), sid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_for_before_a_session_ended_is_not_kept_afterwards() {
        let cache = SessionCache::default();
        let looked = cache.moment();
        cache.put("keycloak", "sid", None, looked);
        assert!(matches!(cache.get("keycloak", "sid"), Some(Known::Foreign)));
        cache.forget("keycloak", "sid");
        assert!(cache.get("keycloak", "sid").is_none());
        // The query began before the end, and its answer comes only now.
        cache.put("keycloak", "sid", None, looked);
        assert!(cache.get("keycloak", "sid").is_none());
        cache.put("keycloak", "sid", None, cache.moment());
        assert!(cache.get("keycloak", "sid").is_some());
        assert!(cache.get("partner", "sid").is_none());
    }
}
