use chrono::{DateTime, Utc};
use common::settings::Secret;
use serde_json::Value;
use uuid::Uuid;

use super::fresh::AccessToken;
use crate::models::grant::{GrantKey, TokenType};

/// A refresh or offline token that a provider gave.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    /// Whose.
    pub user_id: Uuid,
    /// The account at the provider.
    pub account_id: Option<Uuid>,
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The person's subject there.
    pub subject: &'a str,
    /// The client that it was given to.
    pub client_id: &'a str,
    /// Its own sid.
    pub session_state_id: &'a str,
    /// The sid that consent was asked from: a session that ends meanwhile has asked in vain.
    pub asked_from: Option<&'a str>,
    /// Its type.
    pub token_type: TokenType,
    /// The token.
    pub token: &'a Secret,
    /// Granted scope.
    pub scope: &'a str,
    /// When the grant ends if it is not used; none: no maximum.
    pub grant_expires_at: Option<DateTime<Utc>>,
    /// The access token that came with it.
    pub access: Option<AccessToken>,
    /// What imports and operators add.
    pub metadata: Value,
}

impl<'a> NewGrant<'a> {
    pub(super) fn key(&self) -> GrantKey<'a> {
        GrantKey {
            provider: self.provider,
            subject: self.subject,
            client_id: self.client_id,
            session_state_id: self.session_state_id,
        }
    }
}
