//! What each sealed column is bound to: natural keys, so that a row moved to another user's place
//! does not open and an upserted one does.

use vault_crypto::Identity;

use crate::models::grant::{GrantKey, TokenType};

/// `auth_vault.encrypted_token`.
#[must_use]
pub fn token_identity(key: &GrantKey<'_>, token_type: TokenType) -> Identity {
    of_grant(Identity::new("auth_vault.token"), key, token_type)
}

/// `drawn_tokens.sealed_access_token`.
#[must_use]
pub fn access_token_identity(key: &GrantKey<'_>, token_type: TokenType, scope: &str) -> Identity {
    of_grant(Identity::new("drawn_tokens.access_token"), key, token_type).field(scope)
}

/// `accounts.sealed_id_token`.
#[must_use]
pub fn id_token_identity(issuer: &str, subject: &str) -> Identity {
    Identity::new("accounts.id_token").field(issuer).field(subject)
}

/// `authorization_states.sealed_verifier`.
#[must_use]
pub fn verifier_identity(id: &[u8]) -> Identity {
    Identity::new("authorization_states.verifier").field(hex::encode(id))
}

fn of_grant(identity: Identity, key: &GrantKey<'_>, token_type: TokenType) -> Identity {
    identity
        .field(key.provider)
        .field(key.subject)
        .field(key.client_id)
        .field(key.session_state_id)
        .field(token_type.as_str())
}
