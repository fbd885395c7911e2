//! Further ids on an offline grant that is there already: no word to the provider is needed.

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::consent::{Asker, request_consent};
use super::lock::lock_identity;
use crate::error::Error;
use crate::models::grant::{self, Grant, GrantState, TokenType};
use crate::models::persistent_token::{self, PersistentToken};
use crate::models::sharing;
use crate::state::State;

/// A new id.
#[derive(Clone, Debug)]
pub struct Issued {
    /// It.
    pub persistent_token_id: Uuid,
    /// The sid of the grant that it draws on.
    pub session_state_id: String,
}

/// Makes another id on the offline grant of the caller's session, found by its own sid or by the
/// one that consent was asked from.
pub async fn issue_persistent_id(state: &State, asker: &Asker<'_>) -> Result<Issued, Error> {
    let mut connection = state.pool.get().await?;
    let grants = sharing::list_of_session(
        &mut connection,
        asker.user_id,
        asker.provider,
        asker.session_state_id,
    )
    .await?;
    for grant in grants.iter().filter(|grant| is_drawable(grant)) {
        let issued = connection
            .transaction(async |connection| add_id(state, connection, grant, asker).await)
            .await?;
        if let Some(issued) = issued {
            return Ok(issued);
        }
    }
    drop(connection);
    if grants.is_empty() {
        return Err(Error::TokenNotFound);
    }
    let consent = request_consent(state, asker).await?;
    Err(Error::ConsentRequired { consent_url: Some(consent.consent_url) })
}

fn is_drawable(grant: &Grant) -> bool {
    grant.token_type() == TokenType::Offline
        && matches!(grant.state(), GrantState::Live | GrantState::OutcomeUnknown)
}

/// None where the grant was given up in between.
async fn add_id(
    state: &State,
    connection: &mut AsyncPgConnection,
    seen: &Grant,
    asker: &Asker<'_>,
) -> Result<Option<Issued>, Error> {
    lock_identity(connection, &seen.key()).await?;
    let grant = grant::find(connection, seen.id).await?;
    let Some(grant) = grant.filter(is_drawable) else { return Ok(None) };
    let token = PersistentToken {
        id: Uuid::new_v4(),
        grant_id: grant.id,
        user_id: asker.user_id,
        session_state_id: asker.session_state_id.to_owned(),
        created_at: state.clock.now(),
        last_used_at: None,
    };
    persistent_token::insert(connection, &token).await?;
    Ok(Some(Issued { persistent_token_id: token.id, session_state_id: grant.session_state_id }))
}
