//! A token that a revocation may have ended on its way into the vault is tried once.

use chrono::{DateTime, Utc};
use common::settings::Secret;

use super::fresh::AccessToken;
use super::new_grant::NewGrant;
use crate::error::Error;
use crate::models::grant::{GrantState, TokenType};
use crate::providers::{Fault, TokenFacts};
use crate::state::State;

/// What is to be stored of a new grant, as it is by now: trying its token may replace that.
pub(super) struct Incoming {
    pub(super) token: Secret,
    pub(super) access: Option<AccessToken>,
    pub(super) grant_expires_at: Option<DateTime<Utc>>,
    pub(super) state: GrantState,
    pub(super) presentations: i32,
    /// Whether a revocation may have ended it since it was last known to live.
    pub(super) suspect: bool,
}

impl Incoming {
    /// As it came.
    pub(super) fn new(new: &NewGrant<'_>) -> Self {
        Self {
            token: new.token.clone(),
            access: new.access.clone(),
            grant_expires_at: new.grant_expires_at,
            state: GrantState::Live,
            presentations: 0,
            suspect: false,
        }
    }

    /// Presents the token once, unless that was done and no answer came. The locks stay held
    /// meanwhile, so that no revocation begins between the answer and the row. Only a provider that
    /// calls it dead keeps it out of the vault.
    pub(super) async fn try_out(&mut self, state: &State, new: &NewGrant<'_>) -> Result<(), Error> {
        let Some(provider) = state.providers.get(new.provider) else { return Ok(()) };
        if self.state == GrantState::OutcomeUnknown {
            return Ok(());
        }
        match provider.refresh(new.client_id, self.token.expose(), None).await {
            Ok(answer) => {
                (self.access, self.suspect) = (Some((&answer).into()), false);
                // An online token in answer to an offline one takes no offline token's place.
                let fits = |token: &Secret| {
                    let facts = TokenFacts::decode(token.expose());
                    new.token_type == TokenType::Refresh
                        || facts.is_none_or(|facts| facts.is_offline())
                };
                if let Some(token) = answer.refresh_token.filter(fits) {
                    (self.token, self.grant_expires_at) = (token, answer.refresh_expires_at);
                }
            }
            Err(Fault::GrantDead { code, .. }) => {
                tracing::info!(user_id = %new.user_id, code, "new_grant_revoked_meanwhile");
                return Err(Error::ConsentRequired { consent_url: None });
            }
            Err(Fault::Away { sent: true, .. }) => {
                (self.state, self.presentations) = (GrantState::OutcomeUnknown, 1);
            }
            Err(
                Fault::Away { sent: false, .. } | Fault::Refused { .. } | Fault::Misconfigured(_),
            ) => {}
        }
        Ok(())
    }
}
