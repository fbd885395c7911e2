use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::foreseen::Stored;
use super::{Done, Importer, RowError};
use crate::models::account::{self, Account};
use crate::models::drawn_token::{self, DrawnToken};
use crate::models::grant::{self, Grant, GrantKey, GrantState, TokenType};
use crate::models::grant_upsert;
use crate::models::persistent_token::{self, PersistentToken};
use crate::models::provider_call;
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
    /// Of the row.
    pub(super) created_at: DateTime<Utc>,
    /// When the token was issued, see [`issued_at`].
    pub(super) issued_at: DateTime<Utc>,
    /// The row's id, for reports.
    pub(super) row: String,
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
    let taken = || RowError::Bad("the account at the provider belongs to another user");
    if let Some(foreseen) = &importer.foreseen {
        let mut foreseen = foreseen.lock().unwrap_or_else(PoisonError::into_inner);
        if !foreseen.links(provider.issuer(), subject, user) {
            return Err(taken());
        }
    }
    let account = Account::new(user, provider.name(), provider.issuer(), subject, importer.now);
    account::upsert(connection, &account).await?.ok_or_else(taken)
}

/// When a token was issued, as far as it says so itself; else when its row says.
pub(super) fn issued_at(token: &str, row: DateTime<Utc>) -> DateTime<Utc> {
    let claims = unverified_claims(token);
    let issued = claims.as_ref().and_then(|claims| claims.get("iat")?.as_i64());
    issued.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(row)
}

/// Puts a token into the vault and opens it again, unless the same one or a newer one of its grant
/// is there already: the newest one of a grant stays, whoever stored it.
pub(super) async fn take_in(
    connection: &mut AsyncPgConnection,
    importer: &Importer,
    found: &Found<'_>,
) -> Result<Done, RowError> {
    let row = row(importer, found);
    lock_identity(connection, &row.key()).await?;
    let calls = provider_call::list_concerning(connection, &row.key(), importer.now).await?;
    if !calls.is_empty() {
        return Err(RowError::Bad(
            "a revocation of the same grant is under way, or ended a moment ago: run it again in a \
             few minutes",
        ));
    }
    let hash = &row.token_hash;
    let known =
        grant_upsert::find_duplicate(connection, found.user_id, &row.provider, hash).await?;
    if let Some(known) = known {
        add_id(connection, found, &row, known.id).await?;
        return Ok(Done::Skipped);
    }
    let there = grant::find_by_key(connection, &row.key(), row.token_type()).await?;
    let id = there.as_ref().map(|there| there.id);
    let there = there.map(|there| stored(importer, found, &there)).transpose()?;
    let there = foreseen(importer, &row).or(there);
    let (done, newest) = compare(found, &row, there.as_ref());
    let id = if newest { Some(put(connection, importer, found, &row).await?) } else { id };
    if let Some(id) = id {
        add_id(connection, found, &row, id).await?;
    }
    Ok(done)
}

/// The id that callers hold already goes on; one that nobody holds would only be a sharer whom
/// nobody can ask.
async fn add_id(
    connection: &mut AsyncPgConnection,
    found: &Found<'_>,
    row: &Grant,
    grant_id: Uuid,
) -> Result<(), RowError> {
    let first = grant_id == row.id;
    let Some(id) = found.id.or_else(|| first.then(Uuid::new_v4)) else { return Ok(()) };
    let token = PersistentToken {
        id,
        grant_id,
        user_id: found.user_id,
        session_state_id: row.session_state_id.clone(),
        created_at: found.created_at,
        last_used_at: None,
    };
    persistent_token::insert(connection, &token).await?;
    Ok(())
}

/// A grant that is there, as far as it may have to give way.
fn stored(importer: &Importer, found: &Found<'_>, there: &Grant) -> Result<Stored, RowError> {
    if there.user_id != found.user_id {
        return Err(RowError::Bad("the grant belongs to another user"));
    }
    if there.state() == GrantState::Revoking {
        return Err(RowError::Bad("the grant is about to be revoked"));
    }
    let identity = token_identity(&there.key(), there.token_type());
    let opened = importer.keyring.open(&identity, &there.encrypted_token);
    let opened = opened.map_err(|_| RowError::Bad("the grant in the vault does not open"))?;
    let token = str::from_utf8(&opened).unwrap_or_default();
    let row = there.metadata.get("imported_row").and_then(Value::as_str);
    Ok(Stored {
        token_hash: there.token_hash.clone(),
        issued_at: issued_at(token, there.updated_at),
        row: row.map(str::to_owned),
    })
}

fn foreseen(importer: &Importer, row: &Grant) -> Option<Stored> {
    let foreseen = importer.foreseen.as_ref()?;
    foreseen.lock().unwrap_or_else(PoisonError::into_inner).find(row)
}

/// What becomes of a token that meets `there`, and whether it is the one that stays.
fn compare(found: &Found<'_>, row: &Grant, there: Option<&Stored>) -> (Done, bool) {
    let Some(there) = there else { return (Done::Migrated, true) };
    if there.token_hash == row.token_hash {
        return (Done::Skipped, false);
    }
    if found.issued_at <= there.issued_at {
        let why = "the vault has a newer token of its grant".to_owned();
        return (Done::Replaced(found.row.clone(), why), false);
    }
    let done = if let Some(older) = &there.row {
        Done::Replaced(older.clone(), format!("row {} has a newer token of its grant", found.row))
    } else {
        let why = "it took the place of an older token that the service had stored".to_owned();
        Done::Replaced(found.row.clone(), why)
    };
    (done, true)
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
        metadata: metadata(found),
        grant_expires_at: own.and_then(|facts| facts.expires_at).or(found.expires_at),
        state: GrantState::Live.as_str().to_owned(),
        dead_reason: None,
        version: 0,
        presentations: 0,
        lease_holder: None,
        lease_until: None,
        call_deadline: None,
        created_at: found.created_at,
        // When the token changed last; what is newer is told by it.
        updated_at: found.issued_at,
        last_access_at: importer.now,
        client_id,
        session_state_id,
    }
}

fn metadata(found: &Found<'_>) -> Value {
    let mut metadata = found.metadata.clone();
    if let Some(members) = metadata.as_object_mut() {
        members.insert("imported_row".to_owned(), json!(found.row));
    }
    metadata
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
    foresee(importer, found, row);
    drawn_token::delete_of_grant(connection, id).await?;
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

fn foresee(importer: &Importer, found: &Found<'_>, row: &Grant) {
    let Some(foreseen) = &importer.foreseen else { return };
    let stored = Stored {
        token_hash: row.token_hash.clone(),
        issued_at: found.issued_at,
        row: Some(found.row.clone()),
    };
    foreseen.lock().unwrap_or_else(PoisonError::into_inner).store(row, stored);
}
