use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::models::user_session::UserSession;

/// How long another replica may go on believing in a session that ended elsewhere.
const LIFE: Duration = Duration::from_secs(10);
const CAPACITY: u64 = 100_000;

/// Metadata of sessions by provider and sid, never tokens; dropped when a session ends. Clones
/// share it.
#[derive(Clone)]
pub struct SessionCache(Cache<(String, String), Arc<UserSession>>);

impl Default for SessionCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(LIFE).build())
    }
}

impl SessionCache {
    /// What is known of the session that `provider` calls `sid`.
    #[must_use]
    pub fn get(&self, provider: &str, sid: &str) -> Option<Arc<UserSession>> {
        self.0.get(&key(provider, sid))
    }

    /// Keeps a session's metadata, where the provider knows it.
    pub fn put(&self, session: &UserSession) {
        if let (Some(provider), Some(sid)) = (&session.provider, &session.provider_session_id) {
            self.0.insert(key(provider, sid), Arc::new(session.clone()));
        }
    }

    /// Forgets a session.
    pub fn forget(&self, provider: &str, sid: &str) {
        self.0.invalidate(&key(provider, sid));
    }
}

fn key(provider: &str, sid: &str) -> (String, String) {
    (provider.to_owned(), sid.to_owned())
}
