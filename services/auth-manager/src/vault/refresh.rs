//! One presentation of a grant's token: counted before it is sent, and what comes of it written
//! before anybody is answered.

use std::time::Duration;

use common::settings::Secret;
use diesel_async::AsyncConnection as _;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::draw::{COME_BACK, Draws, text};
use super::fresh::AccessToken;
use super::lease::Lease;
use super::scope::Scope;
use super::seal::token_identity;
use super::share::queue_waiting_for;
use crate::error::Error;
use crate::models::grant::GrantState;
use crate::models::{drawn_token, grant_lease};
use crate::providers::{Fault, Provider, TokenAnswer};

/// Beyond a call's own timeout, before it is given up here, and before it is taken for ended.
const SLACK: Duration = Duration::from_secs(1);
/// Why a grant is dead whose token may have been used up by a call whose answer never came.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// What came of a lease.
pub(super) enum Refreshed {
    /// An access token, stored.
    Obtained(AccessToken),
    /// Somebody else has the grant by now: look again.
    Overtaken,
}

/// What may be done with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Send it.
    Present,
    /// Send it once more, if the provider answers at all.
    PresentAgain,
    /// It was sent as often as it may be, and no answer came.
    GiveUp,
}

impl Plan {
    /// `max` is how often one token may be sent, none where they do not rotate. After an unknown
    /// outcome it is sent once more whatever that is: the only successor that this could end never
    /// reached us.
    fn of(state: GrantState, presentations: i32, max: Option<i32>) -> Self {
        let unknown = state == GrantState::OutcomeUnknown;
        let max = max.map(|max| max.max(if unknown { 2 } else { 1 }));
        match max {
            Some(max) if presentations >= max => Self::GiveUp,
            _ if unknown => Self::PresentAgain,
            _ => Self::Present,
        }
    }
}

impl Draws {
    /// Presents the token of a leased grant, and settles what comes of it.
    pub(super) async fn refresh(&self, lease: &Lease, scope: &Scope) -> Result<Refreshed, Error> {
        let (provider, token) = match self.prepare(lease) {
            Ok(prepared) => prepared,
            Err(error) => return self.give_back(lease, error).await,
        };
        match Plan::of(lease.state(), lease.leased.presentations, provider.max_presentations()) {
            Plan::Present => {}
            Plan::PresentAgain => {
                if let Err(fault) = self.keep_lease(lease.holder, provider.probe()).await {
                    return self.give_back(lease, fault.into()).await;
                }
            }
            Plan::GiveUp => return self.bury(lease, OUTCOME_UNKNOWN).await,
        }
        let begun = Instant::now();
        if !self.begin_call(lease).await? {
            self.count_lease("lost");
            self.release(lease, false).await?;
            return Ok(Refreshed::Overtaken);
        }
        let call = self.call(provider, lease, &token, scope, begun);
        match self.keep_lease(lease.holder, call).await {
            Ok(answer) => {
                let stored = self.store_surely(lease, scope, &token, &answer);
                self.keep_lease(lease.holder, stored).await
            }
            Err(fault) => self.settle(lease, provider, fault).await,
        }
    }

    fn prepare(&self, lease: &Lease) -> Result<(&Provider, Secret), Error> {
        let head = &lease.head;
        let Some(provider) = self.tools.providers.get(&head.provider) else {
            tracing::error!(provider = head.provider, grant_id = %head.id, "unknown_provider");
            return Err(Error::ProviderMisconfigured);
        };
        let identity = token_identity(&head.key(), head.token_type());
        let opened = self.tools.keyring.open(&identity, &lease.leased.encrypted_token);
        let token = opened.ok().and_then(|token| text(&token)).ok_or_else(|| {
            Error::Internal(format!("the token of grant {} does not open", head.id))
        })?;
        Ok((provider, token))
    }

    async fn begin_call(&self, lease: &Lease) -> Result<bool, Error> {
        let ended = self.tools.clock.now() + self.tools.call_timeout + 2 * SLACK;
        let mut connection = self.tools.pool.get().await?;
        Ok(grant_lease::begin_call(&mut connection, lease.holder, ended).await?)
    }

    /// The row promises when the call will have ended: one that takes longer is given up here, and
    /// one that comes late, say from a process that stood still, is not made, since others may
    /// have presented the token in its place.
    async fn call(
        &self,
        provider: &Provider,
        lease: &Lease,
        token: &Secret,
        scope: &Scope,
        begun: Instant,
    ) -> Result<TokenAnswer, Fault> {
        if begun.elapsed() > SLACK {
            return Err(Fault::Away { sent: false, retry_after: COME_BACK });
        }
        let call = provider.refresh(&lease.head.client_id, token.expose(), scope.asked());
        let late = Fault::Away { sent: true, retry_after: COME_BACK };
        timeout(self.tools.call_timeout + SLACK, call).await.unwrap_or(Err(late))
    }

    /// A dead grant, an unknown outcome, and a provider that has not used the token are three
    /// different things to the row.
    async fn settle(
        &self,
        lease: &Lease,
        provider: &Provider,
        fault: Fault,
    ) -> Result<Refreshed, Error> {
        let unknown = lease.state() == GrantState::OutcomeUnknown;
        match &fault {
            Fault::GrantDead { .. } if unknown && provider.max_presentations().is_some() => {
                return self.bury(lease, OUTCOME_UNKNOWN).await;
            }
            Fault::GrantDead { code, .. } => return self.bury(lease, code).await,
            Fault::Away { sent: true, .. } => {
                let mut connection = self.tools.pool.get().await?;
                let now = self.tools.clock.now();
                grant_lease::lose_answer(&mut connection, lease.holder, now).await?;
                let Lease { head, .. } = lease;
                tracing::warn!(grant_id = %head.id, provider = head.provider, "outcome_unknown");
            }
            Fault::Away { sent: false, .. } | Fault::Misconfigured(_) | Fault::Refused { .. } => {
                self.release(lease, true).await?;
            }
        }
        Err(fault.into())
    }

    /// Marks the grant as dead: the user has to consent or sign in again.
    async fn bury(&self, lease: &Lease, reason: &str) -> Result<Refreshed, Error> {
        let (head, now) = (&lease.head, self.tools.clock.now());
        let mut connection = self.tools.pool.get().await?;
        let buried = connection
            .transaction(async |connection| {
                let buried = grant_lease::mark_dead(connection, lease.holder, reason, now).await?;
                if buried {
                    drawn_token::delete_of_grant(connection, head.id).await?;
                }
                diesel::QueryResult::Ok(buried)
            })
            .await?;
        drop(connection);
        if buried {
            let (provider, user_id) = (&head.provider, head.user_id);
            tracing::warn!(grant_id = %head.id, %user_id, provider, reason, "grant_dead");
            self.let_go_on(head.id).await;
            return Err(Error::TokenNotActive);
        }
        self.release(lease, false).await?;
        Ok(Refreshed::Overtaken)
    }

    /// What waited for a grant that is dead now goes on; where that fails, housekeeping sees to it.
    async fn let_go_on(&self, dead: Uuid) {
        let now = self.tools.clock.now();
        let queued = async {
            let mut connection = self.tools.pool.get().await?;
            queue_waiting_for(&mut connection, dead, now).await.map_err(Error::from)
        };
        if let Err(error) = queued.await {
            tracing::warn!(grant_id = %dead, %error, "revocation_still_waits");
        }
    }

    async fn give_back(&self, lease: &Lease, error: Error) -> Result<Refreshed, Error> {
        self.release(lease, false).await?;
        Err(error)
    }

    async fn release(&self, lease: &Lease, unsent: bool) -> Result<(), Error> {
        let mut connection = self.tools.pool.get().await?;
        grant_lease::release(&mut connection, lease.holder, unsent).await?;
        Ok(())
    }
}

impl Lease {
    /// As it was when the lease was taken.
    fn state(&self) -> GrantState {
        GrantState::of(&self.leased.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_token_is_sent_as_often_as_its_realm_allows() {
        let plan = |presentations, max| Plan::of(GrantState::Live, presentations, max);
        assert_eq!(plan(0, Some(1)), Plan::Present);
        assert_eq!(plan(1, Some(1)), Plan::GiveUp);
        assert_eq!(plan(1, Some(2)), Plan::Present);
        assert_eq!(plan(2, Some(2)), Plan::GiveUp);
        assert_eq!(plan(1_000, None), Plan::Present);
    }

    #[test]
    fn after_an_unknown_outcome_it_is_sent_once_more_whatever_the_realm_says() {
        let plan = |presentations, max| Plan::of(GrantState::OutcomeUnknown, presentations, max);
        assert_eq!(plan(1, Some(1)), Plan::PresentAgain);
        assert_eq!(plan(2, Some(1)), Plan::GiveUp);
        assert_eq!(plan(2, Some(2)), Plan::GiveUp);
        assert_eq!(plan(2, Some(3)), Plan::PresentAgain);
        assert_eq!(plan(1_000, None), Plan::PresentAgain);
    }
}
