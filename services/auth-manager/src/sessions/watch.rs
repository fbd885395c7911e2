use chrono::TimeDelta;

use crate::error::Error;
use crate::models::user_session;
use crate::state::State;

/// How exact the last use is kept.
const PRECISION: TimeDelta = TimeDelta::minutes(1);

/// Looks at the session that a caller's token belongs to: one that has ended here opens nothing,
/// even where the provider could not be told yet. A session that was not opened here is nobody's
/// business. Notes the use, to a minute.
pub async fn watch(state: &State, provider: &str, sid: &str) -> Result<(), Error> {
    let now = state.clock.now();
    let known = state.sessions.get(provider, sid);
    if known.is_some_and(|known| now - known.last_accessed_at < PRECISION) {
        return Ok(());
    }
    let mut connection = state.pool.get().await?;
    let found = user_session::find_by_provider_session(&mut connection, provider, sid).await?;
    let Some(mut session) = found else { return Ok(()) };
    if !session.active {
        return Err(Error::TokenNotActive);
    }
    if user_session::touch_accessed(&mut connection, session.id, now - PRECISION, now).await? > 0 {
        session.last_accessed_at = now;
    }
    state.sessions.put(&session);
    Ok(())
}
