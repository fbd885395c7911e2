//! Keys of users' scripts: `lka_` and 256 random bits, of which the database knows the SHA-256.
//!
//! They open nothing of user-service itself: other services ask by introspection whom a key speaks
//! for and with which scopes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use common::http::Problem;
use diesel::QueryResult;
use diesel_async::AsyncConnection as _;
use rand::RngExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::api_key::{self, ApiKey};
use crate::models::user;
use crate::sessions::{Authenticated, Caller};
use crate::state::State;

/// What every key begins with, so that scanners of leaked secrets know one.
const PREFIX: &str = "lka_";
/// `client_id` of introspected keys.
pub const CLIENT_ID: &str = "api-key";
const RANDOM_BYTES: usize = 32;
/// Of one user at a time.
const MOST: usize = 50;
/// A use is recorded once in so long, so that a busy script does not write with each call.
const TOUCHED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// What a user asks for.
#[derive(Debug)]
pub struct NewApiKey {
    /// What its owner will know it by.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// How long it works.
    pub life: TimeDelta,
}

/// Issues a key; answers it with its row, the only time that it is seen.
pub async fn issue(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    wanted: NewApiKey,
) -> Result<(Zeroizing<String>, ApiKey), Error> {
    let key = new_key();
    let now = state.clock.now();
    let row = ApiKey {
        id: Uuid::new_v4(),
        user_id: caller.user_id,
        key_hash: hash(&key),
        name: wanted.name,
        scopes: wanted.scopes,
        created_at: now,
        expires_at: now + wanted.life,
        last_used_at: None,
    };
    let event = caller.event(Kind::ApiKeyIssued, client);
    let event = Event { details: json!({ "key_id": row.id, "scopes": row.scopes }), ..event };
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            caller.keep_proven(connection, client, now).await?;
            user::lock(connection, caller.user_id).await?;
            if api_key::list_live(connection, caller.user_id, now).await?.len() >= MOST {
                return Err(Error::Request(too_many()));
            }
            api_key::insert(connection, &row).await?;
            Ok(audit::record(connection, &event).await?)
        })
        .await?;
    tracing::info!(session_id = %caller.session_id, key_id = %row.id, "api_key_issued");
    Ok((key, row))
}

/// The key that `text` is, if it is good now; records its use.
pub async fn find_active(state: &State, text: &str) -> Result<Option<ApiKey>, Error> {
    if !text.starts_with(PREFIX) {
        return Ok(None);
    }
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let key = api_key::find_by_hash(&mut connection, &hash(text)).await?;
    let key = key.filter(|key| now < key.expires_at);
    if let Some(key) = &key {
        api_key::touch(&mut connection, key.id, now, TOUCHED_EVERY).await?;
    }
    Ok(key)
}

/// Revokes a key for whoever holds it; false where it is none.
pub async fn revoke_presented(state: &State, text: &str) -> Result<bool, Error> {
    let Some(key) = find_active(state, text).await? else { return Ok(false) };
    let event = Event { user: Some(key.user_id), ..Event::new(Kind::ApiKeyRevoked) };
    revoke(state, key.user_id, key.id, event).await
}

/// Revokes a key of `user`, which `event` tells; false where there is none.
pub async fn revoke(state: &State, user: Uuid, id: Uuid, event: Event) -> Result<bool, Error> {
    let event = Event { details: json!({ "key_id": id }), ..event };
    let mut connection = state.pool.get().await?;
    let revoked = connection
        .transaction(async |connection| {
            let revoked = api_key::delete(connection, user, id).await?;
            if revoked {
                audit::record(connection, &event).await?;
            }
            QueryResult::Ok(revoked)
        })
        .await?;
    if revoked {
        tracing::info!(key_id = %id, "api_key_revoked");
    }
    Ok(revoked)
}

fn new_key() -> Zeroizing<String> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    rand::rng().fill(random.as_mut_slice());
    Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.as_slice())))
}

/// A fast hash is enough for 256 random bits.
fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key).to_vec()
}

fn too_many() -> Problem {
    Problem::new(
        actix_web::http::StatusCode::CONFLICT,
        "too_many_api_keys",
        "you have as many API keys as one may have; revoke one first",
    )
}
