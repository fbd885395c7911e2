//! What a provider makes of a call of the outbox, and when to call again.

use std::time::Duration;

use common::settings::Secret;
use rand::RngExt as _;
use tokio::time::timeout;

use super::outcome::Outcome;
use super::seal::token_identity;
use crate::error::Error;
use crate::models::grant::{self, Grant};
use crate::models::provider_call::ProviderCall;
use crate::providers::{Fault, Provider};
use crate::state::State;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A provider that refuses us will not change its mind before an operator has looked.
const REFUSED_PAUSE: Duration = Duration::from_mins(15);

/// What the provider made of it.
pub(super) enum Told {
    /// Done, with this version of the token, if it was a revocation.
    Heard(Option<i64>),
    /// Not done.
    Failed {
        /// Why, in a word.
        word: &'static str,
        /// How long to leave it alone.
        pause: Duration,
        /// What to say of it.
        outcome: Outcome,
    },
}

/// Calls the provider. The entry is marked, so that no consent comes in between.
pub(super) async fn tell(state: &State, entry: &ProviderCall) -> Result<Told, Error> {
    let Some(provider) = state.providers.get(&entry.provider) else {
        return Ok(refused("unknown_provider"));
    };
    let mut version = None;
    let call = match entry.grant_id {
        Some(grant_id) => {
            // Read after the mark: a token that arrived until then is the one to revoke.
            let grant = grant::find(&mut *state.pool.get().await?, grant_id).await?;
            let Some(grant) = grant else { return Ok(Told::Heard(None)) };
            version = Some(grant.version);
            let Some(token) = open(state, &grant) else {
                return Ok(refused("token_does_not_open"));
            };
            bounded(state, provider.revoke(&grant.client_id, token.expose())).await
        }
        None => bounded(state, provider.end_session(&entry.session_state_id)).await,
    };
    Ok(judge(call, version, entry, provider))
}

fn open(state: &State, grant: &Grant) -> Option<Secret> {
    let identity = token_identity(&grant.key(), grant.token_type());
    let token = state.keyring.open(&identity, &grant.encrypted_token).ok()?;
    Some(Secret::from(str::from_utf8(&token).ok()?.to_owned()))
}

/// The mark promises an end; a call that takes longer is given up here.
async fn bounded(
    state: &State,
    call: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    let window = state.settings.providers.timeout.0;
    let late = Fault::Away { sent: true, retry_after: FIRST_PAUSE };
    timeout(window, call).await.unwrap_or(Err(late))
}

fn judge(
    call: Result<(), Fault>,
    version: Option<i64>,
    entry: &ProviderCall,
    provider: &Provider,
) -> Told {
    match call {
        // Dead is what it was to be.
        Ok(()) | Err(Fault::GrantDead { .. }) => Told::Heard(version),
        Err(Fault::Away { retry_after, .. }) => {
            let pause = pause_after(entry.attempts).max(retry_after);
            Told::Failed { word: "away", pause, outcome: Outcome::Away }
        }
        Err(fault @ Fault::Refused { .. }) => {
            tracing::error!(provider = provider.name(), call = entry.kind, %fault, "outbox_refused");
            refused("refused")
        }
        Err(fault @ Fault::Misconfigured(_)) => {
            tracing::error!(provider = provider.name(), call = entry.kind, %fault, "outbox_refused");
            refused("misconfigured")
        }
    }
}

fn refused(word: &'static str) -> Told {
    Told::Failed { word, pause: REFUSED_PAUSE, outcome: Outcome::Refused }
}

/// Doubles with each call made, and is never the same on two replicas.
fn pause_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or_default().min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        assert!(pause_after(1) <= Duration::from_secs(2));
        assert!(pause_after(5) >= Duration::from_secs(16));
        for attempts in [9, 40, i32::MAX] {
            let pause = pause_after(attempts);
            let (least, most) = (Duration::from_secs(30), Duration::from_mins(1));
            assert!((least..=most).contains(&pause), "{pause:?}");
        }
        assert_ne!(pause_after(9), pause_after(9));
    }
}
