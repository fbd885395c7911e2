//! Whose an access token or a refresh token is, where that must cost next to nothing.

use common::claims::AccessClaims;
use uuid::Uuid;

use super::authenticated::{check_signed, find_session};
use super::{ApiKind, MacKeys, RefreshToken};
use crate::browser::received::Position;
use crate::error::Error;
use crate::models::auth_session;
use crate::state::State;

/// The claims of an access token of `api` that is good now, or why it is not: from memory while
/// the change feed is read, from the database else.
pub async fn verify(
    state: &State,
    token: &str,
    api: ApiKind,
) -> Result<Result<AccessClaims, &'static str>, Error> {
    let (kid, claims) = match check_signed(state, token).await? {
        Ok(signed) => signed,
        Err(reason) => return Ok(Err(reason)),
    };
    // Each API's tokens are issued to a client of its own.
    let of_browsers = claims.client_id == state.settings.browser.client_id;
    if of_browsers != (api == ApiKind::Cookie) {
        return Ok(Err("other_api"));
    }
    // Asked last: a key may have been waited for, and the feed have stopped meanwhile.
    match is_revoked(state, &kid, &claims) {
        Some(true) => Ok(Err("revoked")),
        Some(false) => Ok(Ok(claims)),
        None => Ok(find_session(state, &claims).await?.map(|_| claims)),
    }
}

/// `None` where this process may have missed it.
fn is_revoked(state: &State, kid: &str, claims: &AccessClaims) -> Option<bool> {
    let mut buffer = Uuid::encode_buffer();
    let sid = claims.sid.hyphenated().encode_lower(&mut buffer);
    state.hub.is_revoked(kid, sid, &claims.jti)
}

/// Which family an authentic refresh token names, and how far that had come with it.
#[must_use]
pub fn position_of(keys: &MacKeys, token: &str) -> Option<Position> {
    let token = RefreshToken::parse(keys, token)?;
    Some(Position { family: token.family, counter: token.counter })
}

/// The family that an authentic refresh token names, whatever has become of it.
#[must_use]
pub fn family_of(state: &State, token: &str) -> Option<Uuid> {
    RefreshToken::parse(&state.mac_keys, token).map(|token| token.family)
}

/// The same while the family lives and is one of `api`.
pub async fn find_live_family(
    state: &State,
    token: &str,
    api: ApiKind,
) -> Result<Option<Uuid>, Error> {
    let Some(family) = family_of(state, token) else { return Ok(None) };
    let mut connection = state.pool.get().await?;
    let session = auth_session::find(&mut connection, family).await?;
    let now = state.clock.now();
    let live = session.filter(|session| {
        session.ended_at.is_none() && now < session.expires_at && session.api == api.as_str()
    });
    Ok(live.map(|session| session.id))
}
