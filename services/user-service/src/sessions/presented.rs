//! Tokens presented for other ends than theirs: logout, introspection (RFC 7662), revocation
//! (RFC 7009).

use chrono::{DateTime, TimeDelta};
use common::claims::AccessClaims;

use super::ApiKind;
use super::Caller;
use super::authenticated::find_live;
use super::end::{EndReason, Ending};
use super::sensitive::end_now;
use super::{RefreshToken, open_secret};
use crate::error::Error;
use crate::models::auth_session::{self, AuthSession, Which};
use crate::models::key_change::{self, ChangeKind, NewKeyChange};
use crate::signing::LARGEST_LEEWAY;
use crate::state::State;

/// A token that is good now.
#[derive(Debug)]
pub enum Presented {
    /// An access token.
    Access(Box<AccessClaims>, Box<AuthSession>),
    /// The newest refresh token of its session.
    Refresh(Box<AuthSession>),
}

impl Presented {
    /// The session that it belongs to.
    #[must_use]
    pub fn session(&self) -> &AuthSession {
        match self {
            Self::Access(_, session) | Self::Refresh(session) => session,
        }
    }
}

/// What `token` is, if it is good now. Tokens tell by themselves which kind they are of; a hint
/// could only be wrong.
pub async fn find_active(state: &State, token: &str) -> Result<Option<Presented>, Error> {
    let now = state.clock.now();
    if let Some((token, session)) = find_family(state, token).await? {
        let idle = state.settings.refresh.idle.as_delta();
        let rested = idle > TimeDelta::zero() && now - session.last_seen_at >= idle;
        let over = session.ended_at.is_some() || now >= session.expires_at || rested;
        let active = token.counter == session.counter && !over;
        return Ok(active.then(|| Presented::Refresh(Box::new(session))));
    }
    let found = find_live(state, token).await?.ok();
    Ok(found.map(|(claims, session)| Presented::Access(Box::new(claims), Box::new(session))))
}

/// The live session that opened through `api` and that an authentic refresh token belongs to,
/// superseded ones included.
pub async fn find_named(
    state: &State,
    token: &str,
    api: ApiKind,
) -> Result<Option<AuthSession>, Error> {
    let found = find_family(state, token).await?;
    let named = found.filter(|(token, session)| {
        token.counter <= session.counter
            && session.ended_at.is_none()
            && session.api == api.as_str()
    });
    Ok(named.map(|(_, session)| session))
}

/// Ends the family of any authentic token, superseded ones included; silent about the rest.
pub async fn log_out(state: &State, text: &str, caller: &Caller) -> Result<(), Error> {
    if let Some((token, session)) = find_family(state, text).await? {
        end_family(state, &token, &session, EndReason::Logout.by(caller)).await?;
    }
    Ok(())
}

/// Ends the session of any authentic refresh token, or an access token by itself. Whoever
/// holds a token could log out with it, so a client may revoke any but those of another client
/// that can prove who it is.
pub async fn revoke(state: &State, client: &str, token: &str) -> Result<&'static str, Error> {
    if let Some((token, session)) = find_family(state, token).await? {
        check_client(state, client, &session)?;
        end_family(state, &token, &session, EndReason::Revoked.into()).await?;
        return Ok("refresh");
    }
    let Ok((claims, session)) = find_live(state, token).await? else { return Ok("none") };
    check_client(state, client, &session)?;
    let until = DateTime::from_timestamp(claims.exp, 0).unwrap_or(session.last_access_expires_at);
    let change = NewKeyChange::new(ChangeKind::Jti, &claims.jti, until + LARGEST_LEEWAY);
    let mut connection = state.pool.get().await?;
    key_change::insert(&mut connection, &[change]).await?;
    drop(connection);
    state.hub.revoked().add(ChangeKind::Jti.as_str(), &claims.jti, until + LARGEST_LEEWAY);
    state.hub.wake();
    Ok("access")
}

async fn end_family(
    state: &State,
    token: &RefreshToken,
    session: &AuthSession,
    ending: Ending<'_>,
) -> Result<(), Error> {
    if token.counter <= session.counter && session.ended_at.is_none() {
        end_now(state, session.user_id, Which::Family(session.id), ending).await?;
    }
    Ok(())
}

fn check_client(state: &State, client: &str, session: &AuthSession) -> Result<(), Error> {
    let owner = &session.client_id;
    if owner != client && state.feed_clients.knows(owner) {
        return Err(Error::ForeignClient);
    }
    Ok(())
}

/// The refresh token and its family, where it is an authentic one.
async fn find_family(
    state: &State,
    text: &str,
) -> Result<Option<(RefreshToken, AuthSession)>, Error> {
    let Some(token) = RefreshToken::parse(&state.mac_keys, text) else { return Ok(None) };
    let mut connection = state.pool.get().await?;
    let session = auth_session::find(&mut connection, token.family).await?;
    drop(connection);
    let Some(session) = session else { return Ok(None) };
    let authentic = token.is_of(&open_secret(&state.keyring, &session)?);
    Ok(authentic.then_some((token, session)))
}
