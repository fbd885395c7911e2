//! The end of a persistent id: the handle goes at once, and with the last one the grant.

use uuid::Uuid;

use super::call::HEAD_START;
use super::give_up::give_up;
use super::outcome::Outcome;
use crate::error::Error;
use crate::models::grant::{self, GrantState};
use crate::models::sharing::Sharers;
use crate::state::State;

/// What became of an id and of the grant behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The provider revoked the grant.
    pub token_revoked: bool,
    /// Its session at the provider was ended too.
    pub session_revoked: bool,
    /// Ids that go on with what the provider would have revoked.
    pub shared_with: usize,
    /// The provider has not heard of it yet; it will.
    pub pending: bool,
    /// Why it is as it is.
    pub reason: RevocationReason,
}

/// Why a revocation went as far as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// It was the last id.
    Revoked,
    /// Other ids share the grant.
    SharedGrant,
    /// Ids on another grant share its token.
    SharedToken,
    /// Ids on the grant of the other type share its client and session.
    SharedSession,
    /// Somebody consented anew before the provider was called.
    ConsentedAnew,
    /// The grant was over before the provider was called, say by a logout there.
    Over,
    /// The grant is being refreshed at this moment.
    InUse,
    /// The provider can't be reached.
    ProviderAway,
    /// The provider refuses us.
    ProviderRefuses,
}

impl RevocationReason {
    /// A name for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::SharedGrant => "shared_grant",
            Self::SharedToken => "shared_token",
            Self::SharedSession => "shared_session",
            Self::ConsentedAnew => "consented_anew",
            Self::Over => "over",
            Self::InUse => "in_use",
            Self::ProviderAway => "provider_away",
            Self::ProviderRefuses => "provider_refuses",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Revoked => "the last id is gone, and the provider revoked the grant",
            Self::SharedGrant => "the id is gone; other ids go on with the same grant",
            Self::SharedToken => "the id is gone; other ids go on with the same token",
            Self::SharedSession => {
                "the id is gone; the provider would revoke the other grant of this client and \
                 session too, so that the last of both is revoked with it"
            }
            Self::ConsentedAnew => {
                "the id is gone; the grant goes on, since consent was given anew"
            }
            Self::Over => {
                "the id is gone; the grant was over before the provider was called, so that \
                 nothing is left to revoke"
            }
            Self::InUse => {
                "the id is gone; the grant is in use at this moment and revoked after it"
            }
            Self::ProviderAway => {
                "the id is gone; the provider can't be reached and is told as soon as it can"
            }
            Self::ProviderRefuses => {
                "the id is gone; the provider refuses the revocation, and an operator must look"
            }
        }
    }
}

/// Revokes an id of `user`, and what only it held.
pub async fn revoke_persistent_id(
    state: &State,
    user: Uuid,
    id: Uuid,
) -> Result<Revocation, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let released = give_up(&mut connection, user, id, now + HEAD_START, now).await?;
    // Not kept while the provider is called.
    drop(connection);
    let released = released.ok_or(Error::TokenNotFound)?;
    tracing::info!(user_id = %user, persistent_token_id = %id, "persistent_id_revoked");
    let mut outcome = None;
    for entry in &released.queued {
        outcome = Some(worse(outcome, state.outbox.run_now(state, *entry).await?));
    }
    let state = match outcome {
        Some(Outcome::Withdrawn) => state_of(state, released.grant_id).await?,
        _ => None,
    };
    Ok(explain(released.sharers, outcome.as_ref(), state))
}

/// The state of a grant; none where it is gone.
async fn state_of(state: &State, grant_id: Uuid) -> Result<Option<GrantState>, Error> {
    let grant = grant::find(&mut *state.pool.get().await?, grant_id).await?;
    Ok(grant.map(|grant| grant.state()))
}

/// Of several calls the one that went least far; those that had nothing to do say nothing.
fn worse(known: Option<Outcome>, next: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Shared(_) | Outcome::Withdrawn => 0,
        Outcome::Made { .. } => 1,
        Outcome::InUse => 2,
        Outcome::Away => 3,
        Outcome::Refused => 4,
    };
    match known {
        Some(known) if rank(&known) > rank(&next) => known,
        _ => next,
    }
}

/// `state` is the grant's, where its revocation was withdrawn.
fn explain(sharers: Sharers, outcome: Option<&Outcome>, state: Option<GrantState>) -> Revocation {
    use RevocationReason as Reason;
    let sharers = match outcome {
        Some(Outcome::Shared(by_now)) => *by_now,
        _ => sharers,
    };
    let (token_revoked, session_revoked, pending, reason) = match outcome {
        None | Some(Outcome::Shared(_)) => (false, false, false, why_shared(sharers)),
        Some(Outcome::Made { session_ended, session_pending }) => {
            (true, *session_ended, *session_pending, Reason::Revoked)
        }
        Some(Outcome::Withdrawn) => match state {
            Some(GrantState::Live | GrantState::OutcomeUnknown) => {
                (false, false, false, Reason::ConsentedAnew)
            }
            Some(GrantState::Revoking) => (false, false, true, Reason::InUse),
            Some(GrantState::Dead) | None => (false, false, false, Reason::Over),
        },
        Some(Outcome::InUse) => (false, false, true, Reason::InUse),
        Some(Outcome::Away) => (false, false, true, Reason::ProviderAway),
        Some(Outcome::Refused) => (false, false, true, Reason::ProviderRefuses),
    };
    Revocation { token_revoked, session_revoked, shared_with: sharers.total(), pending, reason }
}

fn why_shared(sharers: Sharers) -> RevocationReason {
    if sharers.same_grant > 0 {
        RevocationReason::SharedGrant
    } else if sharers.same_token > 0 {
        RevocationReason::SharedToken
    } else {
        RevocationReason::SharedSession
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_how_far_it_went_and_why() {
        let shared = Sharers { same_grant: 2, ..Sharers::default() };
        let answer = explain(shared, None, None);
        assert_eq!((answer.shared_with, answer.token_revoked), (2, false));
        assert_eq!(answer.reason, RevocationReason::SharedGrant);
        let away = explain(Sharers::default(), Some(&Outcome::Away), None);
        assert!(away.pending && !away.token_revoked);
        let made = Outcome::Made { session_ended: true, session_pending: false };
        let made = explain(Sharers::default(), Some(&made), None);
        assert!(made.token_revoked && made.session_revoked && !made.pending);
    }

    #[test]
    fn what_was_not_made_says_why() {
        let by_now = Sharers { same_session: 2, ..Sharers::default() };
        let answer = explain(Sharers::default(), Some(&Outcome::Shared(by_now)), None);
        assert_eq!((answer.shared_with, answer.reason), (2, RevocationReason::SharedSession));
        for (state, reason, pending) in [
            (Some(GrantState::Live), RevocationReason::ConsentedAnew, false),
            (Some(GrantState::Revoking), RevocationReason::InUse, true),
            (Some(GrantState::Dead), RevocationReason::Over, false),
            (None, RevocationReason::Over, false),
        ] {
            let answer = explain(Sharers::default(), Some(&Outcome::Withdrawn), state);
            assert_eq!((answer.reason, answer.pending), (reason, pending), "{state:?}");
            assert!(!answer.token_revoked);
        }
    }

    #[test]
    fn one_call_that_failed_makes_the_whole_pending() {
        let made = Outcome::Made { session_ended: false, session_pending: false };
        let all = worse(Some(Outcome::Away), made.clone());
        assert_eq!(all, Outcome::Away);
        assert_eq!(worse(Some(made), Outcome::Refused), Outcome::Refused);
    }
}
