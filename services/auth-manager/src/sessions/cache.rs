use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::forgotten::Forgotten;
use crate::models::user_session::UserSession;

/// How long another replica may go on believing in a session that ended elsewhere.
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

/// What was found, and the moment at which it was looked for.
#[derive(Clone)]
struct Seen {
    /// None: no session of ours.
    session: Option<Arc<UserSession>>,
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

    /// What is known of the session that `provider` calls `sid`; inside, none where it is none of
    /// ours.
    #[must_use]
    pub fn get(&self, provider: &str, sid: &str) -> Option<Option<Arc<UserSession>>> {
        let key = key(provider, sid);
        let seen = self.seen.get(&key)?;
        (!self.forgotten.since(&key, seen.looked)).then_some(seen.session)
    }

    /// Keeps what was looked for at the moment `looked`: a session's metadata, or that it is none
    /// of ours.
    pub fn put(&self, provider: &str, sid: &str, session: Option<&UserSession>, looked: u64) {
        let session = session.map(|session| Arc::new(session.clone()));
        self.seen.insert(key(provider, sid), Seen { session, looked });
    }

    /// Forgets a session, one that is being looked for just now too.
    pub fn forget(&self, provider: &str, sid: &str) {
        self.forgotten.forget(key(provider, sid));
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
        assert!(matches!(cache.get("keycloak", "sid"), Some(None)));
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
