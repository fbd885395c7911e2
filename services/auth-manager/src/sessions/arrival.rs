//! Who came back from a provider, with what, and the session that follows from it.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::states::random_text;
use crate::models::account::Account;
use crate::models::grant::GrantKey;
use crate::models::user_session::UserSession;
use crate::providers::{IdClaims, Provider, TokenAnswer, TokenFacts};

/// What a browser says of itself.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// User agent.
    pub user_agent: Option<String>,
    /// Address range.
    pub address_range: String,
    /// SHA-256 of both, hex.
    pub fingerprint: String,
}

/// A checked token answer.
pub(super) struct Arrival {
    pub(super) subject: String,
    pub(super) session_state_id: String,
    /// Whether the grant is good while the user is away (`scope` may have asked for that).
    pub(super) offline: bool,
    pub(super) answer: TokenAnswer,
}

impl Arrival {
    /// A provider that knows no sessions (plain OAuth 2.0) has each sign-in be one of its own.
    pub(super) fn new(claims: IdClaims, answer: TokenAnswer) -> Self {
        let token = answer.refresh_token.as_ref();
        let facts = token.and_then(|token| TokenFacts::decode(token.expose()));
        let offline = facts.as_ref().is_some_and(TokenFacts::is_offline);
        let own = facts.and_then(|facts| facts.session_state_id);
        Self {
            session_state_id: own.or(claims.session_state_id).unwrap_or_else(random_text),
            subject: claims.subject,
            offline,
            answer,
        }
    }

    /// Where its grant stands.
    pub(super) fn key<'a>(&'a self, provider: &'a Provider) -> GrantKey<'a> {
        GrantKey {
            provider: provider.name(),
            subject: &self.subject,
            client_id: &provider.login_client().id,
            session_state_id: &self.session_state_id,
        }
    }

    /// The session that it opens.
    pub(super) fn session(
        &self,
        account: &Account,
        visitor: &Visitor,
        now: DateTime<Utc>,
    ) -> UserSession {
        UserSession {
            id: Uuid::new_v4(),
            user_id: account.user_id,
            account_id: Some(account.id),
            provider: Some(account.provider.clone()),
            provider_session_id: Some(self.session_state_id.clone()),
            fingerprint: Some(visitor.fingerprint.clone()),
            user_agent: visitor.user_agent.clone(),
            address_range: Some(visitor.address_range.clone()),
            metadata: json!({}),
            active: true,
            created_at: now,
            updated_at: now,
            last_accessed_at: now,
            expires_at: self.answer.refresh_expires_at,
            ended_at: None,
        }
    }
}
