use common::claims::AMR_KEY;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    AuthenticationResult, Passkey, PasskeyAuthentication, PublicKeyCredential,
    RequestChallengeResponse,
};

use super::{CHALLENGE_LIFE, parse, read, read_all, write};
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::passkey::{self, StoredPasskey};
use crate::models::passkey_challenge::{self, Ceremony};
use crate::models::step_up;
use crate::sessions::{Authenticated, Caller};
use crate::state::State;
use crate::step_up::{count, record_refusal};

/// A key, a person who was there, and verified by the authenticator (RFC 8176).
const METHODS: &[&str] = &[AMR_KEY, "user", "mfa"];

/// The options for `navigator.credentials.get`, which allow the caller's own passkeys.
pub async fn start_authentication(
    state: &State,
    caller: &Authenticated,
) -> Result<RequestChallengeResponse, Error> {
    let webauthn = state.passkeys.get()?;
    let mut connection = state.pool.get().await?;
    let known = read_all(&passkey::list(&mut connection, caller.user_id).await?)?;
    if known.is_empty() {
        return Err(Error::PasskeyNotFound);
    }
    let (options, authentication) = webauthn
        .start_passkey_authentication(&known)
        .map_err(|error| Error::Internal(error.to_string()))?;
    let (id, expires_at) = (caller.session_id, state.clock.now() + CHALLENGE_LIFE);
    let (ceremony, authentication) = (Ceremony::Authentication, write(&authentication)?);
    passkey_challenge::put(&mut connection, id, ceremony, &authentication, expires_at).await?;
    Ok(options)
}

/// Moves `auth_time` of the caller's session if `credential` answers its challenge.
pub async fn finish_authentication(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    credential: Value,
) -> Result<(), Error> {
    let proven = prove(state, caller, client, credential).await;
    if let Err(Error::InvalidPasskey(reason)) = &proven {
        count(state, "passkey_refused");
        record_refusal(state, caller, client, "passkey_refused");
        tracing::info!(reason, session_id = %caller.session_id, "passkey_refused");
    } else if proven.is_ok() {
        count(state, "passkey");
    }
    proven
}

async fn prove(
    state: &State,
    caller: &Authenticated,
    client: &Caller,
    credential: Value,
) -> Result<(), Error> {
    let webauthn = state.passkeys.get()?;
    let credential: PublicKeyCredential = parse(credential)?;
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let (id, ceremony) = (caller.session_id, Ceremony::Authentication);
    let challenge = passkey_challenge::take(&mut connection, id, ceremony, now).await?;
    let challenge = challenge.ok_or_else(|| refused("no_challenge"))?;
    let challenge: PasskeyAuthentication = read(challenge)?;
    let result = webauthn
        .finish_passkey_authentication(&credential, &challenge)
        .map_err(|error| refused(&error))?;
    if is_cross_origin(&credential) {
        return Err(refused("cross_origin"));
    }
    if !result.user_verified() {
        return Err(refused("user_not_verified"));
    }
    connection
        .transaction(async |connection| {
            caller.keep_live(connection, now).await?;
            let row = lock(connection, caller, &result).await?;
            passkey::touch(connection, &row, now).await?;
            step_up::record(connection, caller.session_id, METHODS, now).await?;
            let details = json!({ "reason": "passkey", "passkey_id": row.id });
            let event = Event { details, ..caller.event(Kind::SteppedUp, client) };
            Ok(audit::record(connection, &event).await?)
        })
        .await
}

/// Whether our page was in a frame of another site's, which webauthn-rs asks at registrations alone.
/// What can't be read was.
fn is_cross_origin(credential: &PublicKeyCredential) -> bool {
    let said: Result<Value, _> =
        serde_json::from_slice(credential.response.client_data_json.as_ref());
    said.map_or(true, |said| said["crossOrigin"] != false && !said["crossOrigin"].is_null())
}

/// The passkey as it will be; it may have been removed or used since the challenge was made.
async fn lock(
    connection: &mut AsyncPgConnection,
    caller: &Authenticated,
    result: &AuthenticationResult,
) -> Result<StoredPasskey, Error> {
    let row = passkey::lock(connection, caller.user_id, result.cred_id()).await?;
    let mut row = row.ok_or_else(|| refused("passkey_removed"))?;
    let counter = i64::from(result.counter());
    if !grows(row.counter, counter) {
        return Err(refused("counter_did_not_grow"));
    }
    let mut passkey: Passkey = read(row.credential.clone())?;
    passkey.update_credential(result);
    row.credential = write(&passkey)?;
    row.counter = counter;
    Ok(row)
}

/// `WebAuthn`, section 7.2, step 22: an authenticator that counts always counts up; a copy of it
/// does not know how far.
fn grows(stored: i64, counter: i64) -> bool {
    (stored == 0 && counter == 0) || counter > stored
}

fn refused(reason: &(impl ToString + ?Sized)) -> Error {
    Error::InvalidPasskey(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::grows;

    #[test]
    fn a_counter_that_stands_or_goes_back_is_refused_unless_there_is_none() {
        assert!(grows(0, 0) && grows(0, 1) && grows(1, 2));
        assert!(!grows(1, 1) && !grows(2, 1) && !grows(1, 0));
    }
}
