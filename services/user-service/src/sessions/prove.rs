use chrono::{DateTime, Utc};

use crate::devices::{self, RefreshProof};
use crate::error::Error;
use crate::models::auth_session::AuthSession;
use crate::models::{device, rotation};
use crate::state::State;

/// What a refresh's device proof is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// There was none.
    Nothing,
    /// It is not this device's, not of this token, or not of now.
    Wrong,
    /// It holds.
    Right,
}

/// Checks the proof that came with the refresh token `text` of `session`, which asks for one ever
/// after it has seen a right one. The nonce is not burned, so that an identical retry works.
pub(super) async fn show(
    state: &State,
    session: &mut AuthSession,
    text: &str,
    proof: Option<&RefreshProof<'_>>,
    now: DateTime<Utc>,
) -> Result<Shown, Error> {
    let Some(proof) = proof else { return Ok(Shown::Nothing) };
    let mut connection = state.pool.get().await?;
    let device = device::find(&mut connection, session.device_id).await?;
    // Removed a moment ago, and the family with it.
    let device = device.ok_or(Error::InvalidRefreshToken)?;
    let key = devices::open_key(&state.keyring, &device)?;
    if let Err(fault) = devices::check_refresh_proof(&key, text, proof, now) {
        tracing::info!(session_id = %session.id, reason = fault.as_str(), "device_proof_refused");
        return Ok(Shown::Wrong);
    }
    if !session.device_proof && session.ended_at.is_none() {
        rotation::ask_for_proofs(&mut connection, session.id).await?;
        session.device_proof = true;
    }
    Ok(Shown::Right)
}
