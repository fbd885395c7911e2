use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde_json::Value;
use uuid::Uuid;

use super::{Importer, RowError};
use crate::models::account::{self, Account};
use crate::models::drawn_token::{self, DrawnToken};
use crate::models::grant::{self, Grant, GrantKey, GrantState, TokenType};
use crate::models::grant_upsert;
use crate::models::persistent_token::{self, PersistentToken};
use crate::providers::{Provider, ProviderKind, TokenFacts, unverified_claims};
use crate::vault::{access_token_identity, lock_identity, token_identity};

/// A token of an older layout, and what is known of it there.
pub(super) struct Found<'a> {
    pub(super) user_id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) subject: &'a str,
    pub(super) provider: &'a Provider,
    pub(super) token: &'a str,
    pub(super) token_type: Option<TokenType>,
    /// Where the token names none.
    pub(super) session_state_id: &'a str,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) access: Option<(&'a str, DateTime<Utc>)>,
    pub(super) metadata: Value,
    pub(super) created_at: DateTime<Utc>,
    /// The id that callers hold already.
    pub(super) id: Option<Uuid>,
}

/// The provider that gave a token: the one whose issuer it names, or the default one.
pub(super) fn provider_of<'a>(
    importer: &'a Importer,
    token: &str,
) -> Result<&'a Arc<Provider>, RowError> {
    let claims = unverified_claims(token);
    let Some(claims) = claims else {
        let default = importer.providers.default();
        if default.kind() == ProviderKind::Keycloak {
            return Err(RowError::Bad("the token is malformed"));
        }
        return Ok(default);
    };
    match claims.get("iss").and_then(Value::as_str) {
        Some(issuer) => importer
            .providers
            .by_issuer(issuer)
            .ok_or(RowError::Bad("the token's issuer is no configured provider")),
        None => Ok(importer.providers.default()),
    }
}

/// Links the account, unless it is somebody else's.
pub(super) async fn link(
    connection: &mut AsyncPgConnection,
    importer: &Importer,
    provider: &Provider,
    user: Uuid,
    subject: &str,
) -> Result<Account, RowError> {
    let account = Account::new(user, provider.name(), provider.issuer(), subject, importer.now);
    let linked = account::upsert(connection, &account).await?;
    linked.ok_or(RowError::Bad("the account at the provider belongs to another user"))
}

/// Puts a token into the vault, opens it again, and makes an id on it. False where the token was
/// there already; the id is made all the same.
pub(super) async fn take_in(
    connection: &mut AsyncPgConnection,
    importer: &Importer,
    found: &Found<'_>,
) -> Result<bool, RowError> {
    let row = row(importer, found);
    lock_identity(connection, &row.key()).await?;
    let hash = &row.token_hash;
    let known =
        grant_upsert::find_duplicate(connection, found.user_id, &row.provider, hash).await?;
    let (grant_id, new) = match known {
        Some(known) => (known.id, false),
        None => (put(connection, importer, found, &row).await?, true),
    };
    let token = PersistentToken {
        id: found.id.unwrap_or_else(Uuid::new_v4),
        grant_id,
        user_id: found.user_id,
        session_state_id: row.session_state_id.clone(),
        created_at: found.created_at,
        last_used_at: None,
    };
    persistent_token::insert(connection, &token).await?;
    Ok(new)
}

fn row(importer: &Importer, found: &Found<'_>) -> Grant {
    let facts = TokenFacts::decode(found.token);
    let own = facts.as_ref();
    let offline = own.is_some_and(TokenFacts::is_offline);
    let token_type = match own {
        Some(facts) if !facts.typ.is_empty() && !offline => TokenType::Refresh,
        Some(_) if offline => TokenType::Offline,
        _ => found.token_type.unwrap_or(TokenType::Refresh),
    };
    let login = &found.provider.login_client().id;
    let client_id = own.and_then(|facts| facts.client_id.clone()).unwrap_or_else(|| login.clone());
    let sid = own.and_then(|facts| facts.session_state_id.clone());
    let session_state_id = sid.unwrap_or_else(|| found.session_state_id.to_owned());
    let key = GrantKey {
        provider: found.provider.name(),
        subject: found.subject,
        client_id: &client_id,
        session_state_id: &session_state_id,
    };
    let sealed = importer.keyring.seal(&token_identity(&key, token_type), found.token.as_bytes());
    Grant {
        id: Uuid::new_v4(),
        user_id: found.user_id,
        account_id: Some(found.account_id),
        provider: found.provider.name().to_owned(),
        subject: found.subject.to_owned(),
        consent_session_id: None,
        token_type: token_type.as_str().to_owned(),
        sealing_key_id: sealed.key_id().to_owned(),
        encrypted_token: sealed.into_bytes(),
        token_hash: importer.hasher.hash(found.token.as_bytes()).to_vec(),
        scope: scope_of(found.token),
        metadata: found.metadata.clone(),
        grant_expires_at: own.and_then(|facts| facts.expires_at).or(found.expires_at),
        state: GrantState::Live.as_str().to_owned(),
        dead_reason: None,
        version: 0,
        presentations: 0,
        lease_holder: None,
        lease_until: None,
        call_deadline: None,
        created_at: found.created_at,
        updated_at: importer.now,
        last_access_at: importer.now,
        client_id,
        session_state_id,
    }
}

fn scope_of(token: &str) -> String {
    let claims = unverified_claims(token);
    let scope = claims.as_ref().and_then(|claims| claims.get("scope")?.as_str());
    scope.unwrap_or_default().to_owned()
}

/// Writes the row, reads it back, and keeps an access token that is still good.
async fn put(
    connection: &mut AsyncPgConnection,
    importer: &Importer,
    found: &Found<'_>,
    row: &Grant,
) -> Result<Uuid, RowError> {
    let id = grant_upsert::upsert(connection, row).await?;
    let stored = grant::find(connection, id).await?;
    let stored = stored.ok_or(RowError::Bad("the stored row is gone"))?;
    let identity = token_identity(&stored.key(), stored.token_type());
    let opened = importer.keyring.open(&identity, &stored.encrypted_token);
    if !opened.is_ok_and(|opened| *opened == *found.token.as_bytes()) {
        return Err(RowError::Bad("the stored row does not open"));
    }
    if let Some((access_token, expires_at)) = found.access.filter(|(_, at)| *at > importer.now) {
        let identity = access_token_identity(&stored.key(), stored.token_type(), "");
        let sealed = importer.keyring.seal(&identity, access_token.as_bytes());
        let drawn = DrawnToken {
            grant_id: id,
            scope: String::new(),
            sealing_key_id: sealed.key_id().to_owned(),
            sealed_access_token: sealed.into_bytes(),
            obtained_at: importer.now,
            expires_at,
        };
        drawn_token::upsert(connection, &drawn).await?;
    }
    Ok(id)
}
