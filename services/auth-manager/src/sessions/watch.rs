use chrono::TimeDelta;

use super::cache::Known;
use crate::error::Error;
use crate::models::user_session;
use crate::state::State;

/// How exact the last use is kept.
const PRECISION: TimeDelta = TimeDelta::minutes(1);

/// Looks at the session that a caller's token belongs to: one that has ended here opens nothing,
/// even where the provider could not be told yet. A session that was not opened here is nobody's
/// business, nor is one that only its time has ended: whether it goes on after all, the provider
/// knows. Notes the use, to a minute.
pub async fn watch(state: &State, provider: &str, sid: &str) -> Result<(), Error> {
    let now = state.clock.now();
    match state.sessions.get(provider, sid) {
        Some(Known::Foreign) => return Ok(()),
        Some(Known::Ours(ours)) if now - ours.last_accessed_at < PRECISION => return Ok(()),
        Some(Known::Ours(_)) | None => {}
    }
    let looked = state.sessions.moment();
    let mut connection = state.pool.get().await?;
    let found = user_session::find_by_provider_session(&mut connection, provider, sid).await?;
    let mut found = found.filter(|session| !session.has_expired());
    if let Some(session) = &mut found {
        if !session.active {
            return Err(Error::TokenNotActive);
        }
        let since = now - PRECISION;
        if user_session::touch_accessed(&mut connection, session.id, since, now).await? > 0 {
            session.last_accessed_at = now;
        }
    }
    state.sessions.put(provider, sid, found.as_ref(), looked);
    Ok(())
}
