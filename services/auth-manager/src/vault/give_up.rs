//! A persistent id given up: the handle goes, and its grant with it where it was the last one. The
//! service does this for the id's user, an operator for anybody.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::lock::lock_grants;
use super::share::{Released, release};
use crate::models::{grant, persistent_token};

/// What an operator's revocation of an id came to. The provider is not called by it: the service's
/// outbox does that, within a second where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Ids that go on with what the provider would have revoked.
    pub shared_with: usize,
    /// Calls that the outbox got.
    pub queued: usize,
}

/// Revokes an id, whoever's it is, as its user would; none where there is no such id.
pub async fn give_up_id(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Option<GivenUp>> {
    let Some(user) = persistent_token::find_user(connection, id).await? else { return Ok(None) };
    let released = give_up(connection, user, id, now, now).await?;
    Ok(released.map(|released| GivenUp {
        shared_with: released.sharers.total(),
        queued: released.queued.len(),
    }))
}

/// Deletes the id of `user`, and gives its grant up where it was the last one; none where there is
/// no such id. `call_at` is when the outbox is to call the provider, if it is.
pub(super) async fn give_up(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    id: Uuid,
    call_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Option<Released>> {
    loop {
        let Some(seen) = persistent_token::find_of_user(connection, id, user).await? else {
            return Ok(None);
        };
        let released = connection
            .transaction(async |connection| {
                release_from(connection, id, seen.grant_id, call_at, now).await
            })
            .await?;
        // None: meanwhile the id has moved to another grant, or is gone.
        if released.is_some() {
            return Ok(released);
        }
    }
}

async fn release_from(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    grant_id: Uuid,
    call_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Option<Released>> {
    let Some(seen) = grant::find(connection, grant_id).await? else { return Ok(None) };
    lock_grants(connection, &[seen]).await?;
    if persistent_token::delete_from_grant(connection, id, grant_id).await? == 0 {
        return Ok(None);
    }
    let Some(grant) = grant::find(connection, grant_id).await? else { return Ok(None) };
    release(connection, &grant, call_at, now).await.map(Some)
}
