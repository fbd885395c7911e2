//! Refresh: a token for its successor.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncConnection as _;
use serde_json::json;

use super::decide::{Decision, Presented, Rules, decide};
use super::end::{EndReason, end};
use super::mutex::{Turn, take_turn};
use super::prove::show;
use super::sensitive::end_now;
use super::{ApiKind, Caller, RefreshToken, TokenPair, open_secret};
use crate::audit::{self, Event, Kind};
use crate::config::DeviceProof;
use crate::devices::RefreshProof;
use crate::error::Error;
use crate::failpoint;
use crate::models::auth_session::{self, AuthSession, Which};
use crate::models::rotation::{self, Rotation};
use crate::state::State;

/// How often a refresh that lost a race looks again before it answers 409.
const ATTEMPTS: usize = 3;

/// Exchanges a refresh token for its successor and a fresh access token, in a family that `api`
/// opened.
pub async fn refresh(
    state: &State,
    text: &str,
    proof: Option<&RefreshProof<'_>>,
    caller: &Caller,
    api: ApiKind,
) -> Result<TokenPair, Error> {
    let _timer = state.metrics.refresh_duration.start_timer();
    let Some(token) = RefreshToken::parse(&state.mac_keys, text) else {
        return Err(refused(state, "forged"));
    };
    let mut lost_a_race = false;
    for _ in 0..ATTEMPTS {
        let now = state.clock.now();
        let mut session = load(state, &token, api).await?;
        let proof = show(state, &mut session, text, proof, now).await?;
        let presented = Presented {
            counter: token.counter,
            same_device: caller.is_on_device_of(&session),
            proof,
        };
        match decide(&session, presented, now, rules(state, api)) {
            Decision::Rotate(recent) => {
                // Who has waited once goes to the database.
                let turn =
                    if lost_a_race { Turn::Ours(None) } else { take_turn(state, session.id).await };
                if matches!(turn, Turn::Ours(_))
                    && let Some(tokens) = rotate(state, session, recent, caller, now).await?
                {
                    return Ok(tokens);
                }
            }
            Decision::Grace => {
                if let Some(tokens) = repeat(state, session, now).await? {
                    return Ok(tokens);
                }
            }
            // The winner superseded this token a moment ago, after we had read it as the newest.
            Decision::Replay if lost_a_race => return Err(Error::RefreshInProgress),
            Decision::Replay => return replayed(state, &session, &token, caller).await,
            Decision::Limited(after) => {
                count(state, "limited");
                record_limit(state, &session, caller);
                return Err(Error::RateLimited(after.to_std().unwrap_or_default()));
            }
            Decision::Revoked => return Err(refused(state, "revoked")),
            Decision::Expired => return expired(state, &session).await,
            Decision::Ahead => return Err(refused(state, "forged")),
            Decision::Unproven => return Err(unproven(state)),
        }
        lost_a_race = true;
    }
    Err(Error::RefreshInProgress)
}

/// The token's family, once the family's own secret has confirmed it.
async fn load(state: &State, token: &RefreshToken, api: ApiKind) -> Result<AuthSession, Error> {
    let mut connection = state.pool.get().await?;
    let session = auth_session::find(&mut connection, token.family).await?;
    drop(connection);
    // The family's device or user may be gone, and the family with it.
    let session = session.ok_or_else(|| refused(state, "revoked"))?;
    if !token.is_of(&open_secret(&state.keyring, &session)?) {
        return Err(refused(state, "forged"));
    }
    // Whoever moves a token from one API to the other would leave the other's protection behind.
    if session.api != api.as_str() {
        return Err(refused(state, "other_api"));
    }
    Ok(session)
}

fn rules(state: &State, api: ApiKind) -> Rules {
    let settings = &state.settings.refresh;
    Rules {
        grace: settings.grace.as_delta(),
        idle: settings.idle.as_delta(),
        rotations_per_hour: settings.rotations_per_hour,
        // A browser has no key to prove itself with.
        proof_required: settings.device_proof == DeviceProof::Required && api == ApiKind::Bearer,
    }
}

/// Moves the counter on; `None` where another refresh did so first or the session has ended.
async fn rotate(
    state: &State,
    mut session: AuthSession,
    mut recent: Vec<DateTime<Utc>>,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Option<TokenPair>, Error> {
    if state.settings.refresh.rotations_per_hour > 0 {
        recent.push(now);
    }
    session.counter += 1;
    session.mac_version = state.mac_keys.writing_version().into();
    // Whatever can fail does so before the old token is spent.
    let tokens = prepare(state, &session, now).await?;
    let access_expires_at = state.signing.access_expiry(now, session.expires_at);
    let moved = Rotation {
        counter: session.counter,
        user_agent: caller.user_agent.clone(),
        address_range: caller.address.range(),
        last_ip_cidr: Some(caller.address.network()),
        device_hash: caller.device_hash(),
        last_seen_at: now,
        rotated_at: now,
        recent_rotations: recent,
        mac_version: session.mac_version,
        last_access_expires_at: session.last_access_expires_at.max(access_expires_at),
    };
    let mut connection = state.pool.get().await?;
    failpoint::reach("refresh_before_commit").await;
    if !rotation::rotate(&mut connection, &session, &moved).await? {
        return Ok(None);
    }
    drop(connection);
    failpoint::reach("refresh_after_commit").await;
    count(state, "rotated");
    Ok(Some(tokens))
}

/// The same successor again, with a fresh access token.
async fn repeat(
    state: &State,
    session: AuthSession,
    now: DateTime<Utc>,
) -> Result<Option<TokenPair>, Error> {
    let tokens = prepare(state, &session, now).await?;
    let expiry = state.signing.access_expiry(now, session.expires_at);
    let mut connection = state.pool.get().await?;
    if !rotation::extend_access(&mut connection, &session, expiry, now).await? {
        return Ok(None);
    }
    drop(connection);
    count(state, "grace");
    Ok(Some(tokens))
}

/// The answer for the refresh token that `session`'s counter names. Nobody gets it before the access
/// token's expiry is on record.
async fn prepare(
    state: &State,
    session: &AuthSession,
    now: DateTime<Utc>,
) -> Result<TokenPair, Error> {
    let secret = open_secret(&state.keyring, session)?;
    let version = u8::try_from(session.mac_version).unwrap_or_default();
    let refresh_token =
        RefreshToken::render(&state.mac_keys, version, session.id, session.counter, &secret)
            .ok_or_else(|| Error::Internal(format!("MAC key {version} is not in the ring")))?;
    let signer = state.signing.signer(&state.pool, session).await?;
    let (access_token, expires_in) = state.signing.sign(&signer, session, now).await?;
    Ok(TokenPair {
        access_token,
        refresh_token,
        expires_in,
        refresh_expires_in: (session.expires_at - now).num_seconds(),
    })
}

/// Ends a family whose life is over, so that its key need not wait for housekeeping.
async fn expired(state: &State, session: &AuthSession) -> Result<TokenPair, Error> {
    let which = Which::Family(session.id);
    end_now(state, session.user_id, which, EndReason::Expired).await?;
    Err(refused(state, "expired"))
}

/// Ends the family, under locks taken in their order.
async fn replayed(
    state: &State,
    session: &AuthSession,
    token: &RefreshToken,
    caller: &Caller,
) -> Result<TokenPair, Error> {
    if end_replayed(state, session, token, caller).await? {
        tracing::warn!(
            session_id = %session.id,
            user_id = %session.user_id,
            device_id = %session.device_id,
            address_range = caller.address.range(),
            user_agent = caller.user_agent,
            counter = token.counter,
            newest = session.counter,
            "refresh_token_replayed"
        );
    }
    Err(refused(state, "replay"))
}

/// False where somebody else has ended it.
async fn end_replayed(
    state: &State,
    session: &AuthSession,
    token: &RefreshToken,
    caller: &Caller,
) -> Result<bool, Error> {
    let (now, which) = (state.clock.now(), Which::Family(session.id));
    let mut connection = state.pool.get().await?;
    let ended: Vec<AuthSession> = connection
        .transaction(async |connection| {
            let user = session.user_id;
            let ended = end(connection, user, which, EndReason::Replay.by(caller), now).await?;
            if !ended.is_empty() {
                auth_session::record_reuse(connection, session.id, token.counter).await?;
                let event = Event::by(Kind::RefreshReplayed, caller).of(session);
                let details = json!({ "counter": token.counter, "newest": session.counter });
                audit::record(connection, &Event { details, ..event }).await?;
            }
            QueryResult::Ok(ended)
        })
        .await?;
    drop(connection);
    state.forget_sessions(&ended, EndReason::Replay);
    Ok(!ended.is_empty())
}

fn record_limit(state: &State, session: &AuthSession, caller: &Caller) {
    let event = Event::by(Kind::RateLimited, caller).of(session);
    let event = Event { details: json!({ "limit": "rotations" }), ..event };
    state.audit.record_once(&event, session.device_id.as_bytes());
}

fn refused(state: &State, outcome: &'static str) -> Error {
    count(state, outcome);
    tracing::info!(outcome, "refresh_refused");
    Error::InvalidRefreshToken
}

fn unproven(state: &State) -> Error {
    count(state, "unproven");
    Error::InvalidDeviceProof
}

fn count(state: &State, outcome: &'static str) {
    state.metrics.refreshes.with_label_values(&[outcome]).inc();
}
