//! What a refresh brought, stored before anybody is answered.

use chrono::{DateTime, Utc};
use common::settings::Secret;
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::draw::Draws;
use super::fresh::AccessToken;
use super::lease::Lease;
use super::lock::{self, lock_all};
use super::refresh::Refreshed;
use super::scope::Scope;
use super::seal::{access_token_identity, token_identity};
use super::surely::surely;
use crate::error::Error;
use crate::models::drawn_token::{self, DrawnToken};
use crate::models::grant::{self, GrantHead, GrantState, TokenType};
use crate::models::grant_lease::{self, Successor};
use crate::models::{account, user_session};
use crate::providers::{TokenAnswer, TokenFacts};

/// What goes into the rows.
struct Brought {
    successor: Option<(Successor, [u8; 32])>,
    drawn: DrawnToken,
    /// The grant's own scope, where it was not known.
    scope: Option<String>,
    /// When the provider now says that the grant ends.
    refresh_expires_at: Option<DateTime<Utc>>,
}

impl Draws {
    /// Stores what the provider answered; again where the database fails, since the token that was
    /// presented may be good for nothing any more.
    pub(super) async fn store_surely(
        &self,
        lease: &Lease,
        scope: &Scope,
        presented: &Secret,
        answer: &TokenAnswer,
    ) -> Result<Refreshed, Error> {
        let brought = self.seal_brought(lease, scope, presented, answer);
        let state = surely(&self.tools.clock, async || {
            let stored = self.store(lease, presented, &brought).await;
            stored.inspect_err(|error| {
                tracing::error!(grant_id = %lease.head.id, %error, "token_not_stored");
            })
        })
        .await?;
        self.conclude(lease, answer, &brought, state)
    }

    fn seal_brought(
        &self,
        lease: &Lease,
        scope: &Scope,
        presented: &Secret,
        answer: &TokenAnswer,
    ) -> Brought {
        let (key, token_type) = (lease.head.key(), lease.head.token_type());
        let successor = answer.refresh_token.as_ref();
        let successor = successor.filter(|token| takes_its_place(token, presented, token_type));
        let successor = successor.map(|token| {
            let sealed = (self.tools.keyring)
                .seal(&token_identity(&key, token_type), token.expose().as_bytes());
            let hash = self.tools.hasher.hash(token.expose().as_bytes());
            let successor = Successor {
                sealing_key_id: sealed.key_id().to_owned(),
                encrypted_token: sealed.into_bytes(),
                token_hash: hash.to_vec(),
                grant_expires_at: answer.refresh_expires_at,
            };
            (successor, hash)
        });
        let identity = access_token_identity(&key, token_type, scope.as_str());
        let sealed = self.tools.keyring.seal(&identity, answer.access_token.expose().as_bytes());
        let drawn = DrawnToken {
            grant_id: lease.head.id,
            scope: scope.as_str().to_owned(),
            sealing_key_id: sealed.key_id().to_owned(),
            sealed_access_token: sealed.into_bytes(),
            obtained_at: answer.obtained_at,
            expires_at: answer.expires_at,
        };
        let whole = lease.head.scope.is_empty() && scope.asked().is_none();
        let learnt = whole.then(|| answer.scope.clone()).filter(|scope| !scope.is_empty());
        let refresh_expires_at = answer.refresh_expires_at;
        Brought { successor, drawn, scope: learnt, refresh_expires_at }
    }

    /// Token, access token and state in one transaction, under the locks that whoever revokes or
    /// stores the same grant takes. Answers the grant's state; none where the row has yet another
    /// token by now, or is gone.
    async fn store(
        &self,
        lease: &Lease,
        presented: &Secret,
        brought: &Brought,
    ) -> Result<Option<GrantState>, Error> {
        let hash = self.tools.hasher.hash(presented.expose().as_bytes());
        let now = self.tools.clock.now();
        let mut connection = self.tools.pool.get().await?;
        let state = connection
            .transaction(async |connection| {
                let names = [lock::identity(&lease.head.key())].into();
                lock_all(connection, names).await?;
                let successor = brought.successor.as_ref().map(|(_, hash)| hash);
                let names = [Some(&hash), successor].into_iter().flatten();
                lock_all(connection, names.map(|hash| lock::token(hash)).collect()).await?;
                write(connection, lease, brought, now).await
            })
            .await?;
        if state.is_some() && lease.head.token_type() == TokenType::Refresh {
            note_session(&mut connection, &lease.head, brought.refresh_expires_at, now).await;
        }
        Ok(state.as_deref().map(GrantState::of))
    }

    fn conclude(
        &self,
        lease: &Lease,
        answer: &TokenAnswer,
        brought: &Brought,
        state: Option<GrantState>,
    ) -> Result<Refreshed, Error> {
        match state {
            Some(GrantState::Live | GrantState::OutcomeUnknown) => {
                Ok(Refreshed::Obtained(AccessToken {
                    token: answer.access_token.clone(),
                    obtained_at: brought.drawn.obtained_at,
                    expires_at: brought.drawn.expires_at,
                }))
            }
            // The outbox revokes what was stored.
            Some(GrantState::Revoking | GrantState::Dead) => Err(Error::TokenNotActive),
            None => {
                tracing::warn!(grant_id = %lease.head.id, "answer_overtaken");
                self.count_lease("lost");
                Ok(Refreshed::Overtaken)
            }
        }
    }
}

/// The session goes on too. Outside the transaction, since whoever ends a session locks it first
/// and its grants second; and of no weight, since the provider alone knows when it ends.
async fn note_session(
    connection: &mut AsyncPgConnection,
    head: &GrantHead,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) {
    let (provider, sid) = (&head.provider, &head.session_state_id);
    let noted = user_session::touch_refreshed(connection, provider, sid, expires_at, now).await;
    if let Err(error) = noted {
        tracing::warn!(grant_id = %head.id, %error, "session_not_noted");
    }
}

async fn write(
    connection: &mut AsyncPgConnection,
    lease: &Lease,
    brought: &Brought,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    let (holder, expires_at) = (lease.holder, brought.refresh_expires_at);
    let state = match &brought.successor {
        Some((successor, _)) => {
            grant_lease::replace_token(connection, holder, successor, now).await?
        }
        None => grant_lease::keep_token(connection, holder, expires_at, now).await?,
    };
    let drawable = state.as_deref().map(GrantState::of) == Some(GrantState::Live);
    if drawable {
        let DrawnToken { grant_id, expires_at, .. } = brought.drawn;
        drawn_token::upsert(connection, &brought.drawn).await?;
        account::note_refresh(connection, grant_id, expires_at, now).await?;
        if let Some(scope) = &brought.scope {
            grant::learn_scope(connection, grant_id, scope).await?;
        }
    }
    Ok(state)
}

/// The same token again is no successor, and an online token in answer to an offline one takes no
/// offline token's place.
fn takes_its_place(token: &Secret, presented: &Secret, token_type: TokenType) -> bool {
    let fits = || TokenFacts::decode(token.expose()).is_none_or(|facts| facts.is_offline());
    token.expose() != presented.expose() && (token_type == TokenType::Refresh || fits())
}
