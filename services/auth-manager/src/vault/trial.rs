//! A token that a revocation may have ended on its way into the vault is tried once.

use chrono::{DateTime, Utc};
use common::settings::Secret;

use super::fresh::AccessToken;
use super::new_grant::NewGrant;
use crate::error::Error;
use crate::models::grant::{GrantState, TokenType};
use crate::providers::{Fault, TokenFacts};
use crate::state::State;

/// What is stored of a grant, once it is known whether it lives.
pub(super) struct Tried<'a> {
    pub(super) token: &'a Secret,
    pub(super) access: Option<&'a AccessToken>,
    pub(super) grant_expires_at: Option<DateTime<Utc>>,
    pub(super) state: GrantState,
    pub(super) presentations: i32,
}

impl<'a> Tried<'a> {
    /// As it came.
    pub(super) fn untried(new: &'a NewGrant<'a>) -> Self {
        Self {
            token: new.token,
            access: new.access.as_ref(),
            grant_expires_at: new.grant_expires_at,
            state: GrantState::Live,
            presentations: 0,
        }
    }
}

/// What trying a token gave.
pub(super) enum Answer {
    /// It lives.
    Alive {
        /// The token that takes its place.
        token: Option<Secret>,
        /// When that ends if it is not used.
        expires: Option<DateTime<Utc>>,
        /// An access token.
        access: AccessToken,
    },
    /// The provider could not be asked, and the token was not sent …
    Unasked,
    /// … or it was, and no answer came.
    Unknown,
}

impl Answer {
    /// What is to be stored after it.
    pub(super) fn tried<'a>(&'a self, new: &'a NewGrant<'a>) -> Tried<'a> {
        match self {
            Self::Alive { token, expires, access } => Tried {
                token: token.as_ref().unwrap_or(new.token),
                access: Some(access),
                grant_expires_at: token.as_ref().map_or(new.grant_expires_at, |_| *expires),
                ..Tried::untried(new)
            },
            Self::Unasked => Tried::untried(new),
            Self::Unknown => {
                Tried { state: GrantState::OutcomeUnknown, presentations: 1, ..Tried::untried(new) }
            }
        }
    }
}

/// Presents the token once. The locks stay held meanwhile, so that no revocation begins between
/// the answer and the row. Only a provider that calls it dead keeps it out of the vault.
pub(super) async fn try_token(state: &State, new: &NewGrant<'_>) -> Result<Answer, Error> {
    let Some(provider) = state.providers.get(new.provider) else { return Ok(Answer::Unasked) };
    let answer = match provider.refresh(new.client_id, new.token.expose(), None).await {
        Ok(answer) => {
            // An online token in answer to an offline one takes no offline token's place.
            let fits = |token: &Secret| {
                let facts = TokenFacts::decode(token.expose());
                new.token_type == TokenType::Refresh || facts.is_none_or(|facts| facts.is_offline())
            };
            Answer::Alive {
                access: (&answer).into(),
                token: answer.refresh_token.filter(fits),
                expires: answer.refresh_expires_at,
            }
        }
        Err(Fault::GrantDead { code, .. }) => {
            tracing::info!(user_id = %new.user_id, code, "new_grant_revoked_meanwhile");
            return Err(Error::ConsentRequired { consent_url: None });
        }
        Err(Fault::Away { sent: true, .. }) => Answer::Unknown,
        Err(Fault::Away { sent: false, .. } | Fault::Refused { .. } | Fault::Misconfigured(_)) => {
            Answer::Unasked
        }
    };
    Ok(answer)
}
