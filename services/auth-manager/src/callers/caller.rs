use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::providers::{Introspection, Provider};

/// Whose token it is, as the provider says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The token's subject.
    pub subject: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The session, which service accounts have none of.
    pub session_state_id: Option<String>,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
    /// Its scope.
    pub scope: String,
    /// Our own id of the person, once it was looked up; it goes when the caller is forgotten.
    user_id: OnceLock<Uuid>,
}

impl Caller {
    /// As `provider` said.
    pub(super) fn new(provider: &Provider, said: Introspection) -> Self {
        Self {
            provider: provider.name().to_owned(),
            issuer: provider.issuer().to_owned(),
            subject: said.subject,
            client_id: said.client_id,
            session_state_id: said.session_state_id,
            expires_at: said.expires_at,
            scope: said.scope,
            user_id: OnceLock::new(),
        }
    }

    /// Our own id of the person, if it is known already.
    #[must_use]
    pub fn user_id(&self) -> Option<Uuid> {
        self.user_id.get().copied()
    }

    /// Keeps our own id of the person for as long as the caller is believed.
    pub fn note_user_id(&self, user_id: Uuid) {
        // Whoever was faster noted the same.
        let _ = self.user_id.set(user_id);
    }
}
