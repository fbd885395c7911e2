use actix_web::http::StatusCode;
use common::http::Problem;
use diesel_async::AsyncConnection as _;
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{CreationChallengeResponse, PasskeyRegistration};

use super::{CHALLENGE_LIFE, MOST, parse, read, read_all, write};
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::passkey::{self, StoredPasskey};
use crate::models::passkey_challenge::{self, Ceremony};
use crate::models::user;
use crate::sessions::{Authenticated, Caller};
use crate::state::State;

/// The options for `navigator.credentials.create`.
pub async fn start_registration(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
) -> Result<CreationChallengeResponse, Error> {
    let webauthn = state.passkeys.get()?;
    let mut connection = state.pool.get().await?;
    let user = user::find(&mut connection, caller.user_id).await?;
    let user = user.ok_or(Error::Unauthorized { token_sent: true })?;
    let known = read_all(&passkey::list(&mut connection, user.id).await?)?;
    let known = known.iter().map(|passkey| passkey.cred_id().clone()).collect();
    let shown = user.display_name.as_deref().unwrap_or(&user.username);
    let (options, registration) = webauthn
        .start_passkey_registration(user.id, &user.username, shown, Some(known))
        .map_err(|error| Error::Internal(error.to_string()))?;
    let (id, now) = (caller.session_id, state.clock.now());
    let (ceremony, registration) = (Ceremony::Registration, write(&registration)?);
    let expires_at = now + CHALLENGE_LIFE;
    connection
        .transaction(async |connection| {
            caller.keep_proven(connection, client, now).await?;
            passkey_challenge::put(connection, id, ceremony, &registration, expires_at).await?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(options)
}

/// Adds the passkey that `credential` attests.
pub async fn finish_registration(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    name: String,
    credential: Value,
) -> Result<StoredPasskey, Error> {
    let webauthn = state.passkeys.get()?;
    let credential = parse(credential)?;
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let (id, ceremony) = (caller.session_id, Ceremony::Registration);
    let challenge = passkey_challenge::take(&mut connection, id, ceremony, now).await?;
    let challenge = challenge.ok_or_else(|| refused("no_challenge"))?;
    let challenge: PasskeyRegistration = read(challenge)?;
    let added = webauthn
        .finish_passkey_registration(&credential, &challenge)
        .map_err(|error| refused(&error))?;
    let row = StoredPasskey {
        id: Uuid::new_v4(),
        user_id: caller.user_id,
        credential_id: added.cred_id().clone(),
        name,
        credential: write(&added)?,
        // The first assertion sets it; until then webauthn-rs compares with the one registered.
        counter: 0,
        created_at: now,
        last_used_at: None,
    };
    let details = json!({ "passkey_id": row.id });
    let event = Event { details, ..caller.event(Kind::PasskeyAdded, client) };
    connection
        .transaction(async |connection| {
            caller.keep_proven(connection, client, now).await?;
            user::lock(connection, caller.user_id).await?;
            if passkey::list(connection, caller.user_id).await?.len() >= MOST {
                return Err(conflict("too_many_passkeys", "you have as many as one may have"));
            }
            if !passkey::insert(connection, &row).await? {
                return Err(conflict("passkey_exists", "this passkey is registered already"));
            }
            Ok(audit::record(connection, &event).await?)
        })
        .await?;
    tracing::info!(session_id = %caller.session_id, passkey_id = %row.id, "passkey_added");
    Ok(row)
}

fn conflict(code: &'static str, message: &'static str) -> Error {
    Problem::new(StatusCode::CONFLICT, code, message).into()
}

fn refused(reason: &(impl ToString + ?Sized)) -> Error {
    let reason = reason.to_string();
    tracing::info!(reason, "passkey_registration_refused");
    Error::InvalidPasskey(reason)
}
