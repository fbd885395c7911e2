//! Grants that lose their ids. Whoever is the last to share what the provider revokes as one has
//! it revoked; the calls themselves are the outbox's.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::lock::lock_grants;
use crate::models::grant::{self, Grant, GrantState};
use crate::models::provider_call::{self, CallKind, ProviderCall};
use crate::models::sharing::{self, GrantFilter, Sharers};
use crate::models::{drawn_token, persistent_token};

/// What became of a grant that lost an id.
#[derive(Debug)]
pub(super) struct Released {
    /// It.
    pub(super) grant_id: Uuid,
    /// Ids that go on.
    pub(super) sharers: Sharers,
    /// Entries of the outbox that revoke it, and what had to wait for it.
    pub(super) queued: Vec<Uuid>,
}

/// What is to be done with a grant that is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Others hold ids on it.
    Stay,
    /// The provider would revoke the other type's grant with it: the last of both revokes, or
    /// whatever ends that one.
    Wait,
    /// Its token stands in another row, where it goes on.
    Forget,
    /// Nobody else has anything of it.
    Revoke,
}

impl Fate {
    /// `busy`: its token was sent somewhere and may come back as another.
    pub(super) fn decide(sharers: &Sharers, busy: bool) -> Self {
        if sharers.same_grant > 0 {
            Self::Stay
        } else if sharers.same_token > 0 && !busy {
            Self::Forget
        } else if sharers.same_session > 0 {
            Self::Wait
        } else {
            Self::Revoke
        }
    }
}

/// Gives `grant` up where it has no id left, under the locks of [`lock_grants`]; `call_at` is when
/// its provider is to hear of it, if it is.
pub(super) async fn release(
    connection: &mut AsyncPgConnection,
    grant: &Grant,
    call_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Released> {
    let sharers = sharing::count_sharers(connection, grant, now).await?;
    let fate = Fate::decide(&sharers, busy_until(grant, now).is_some());
    if fate == Fate::Stay {
        return Ok(Released { grant_id: grant.id, sharers, queued: Vec::new() });
    }
    drawn_token::delete_of_grant(connection, grant.id).await?;
    if fate == Fate::Forget {
        sharing::delete(connection, &[grant.id]).await?;
        return Ok(Released { grant_id: grant.id, sharers, queued: Vec::new() });
    }
    sharing::mark_revoking(connection, grant.id, now).await?;
    let queued = match fate {
        Fate::Revoke => queue(connection, grant, call_at, now).await?,
        Fate::Stay | Fate::Wait | Fate::Forget => Vec::new(),
    };
    Ok(Released { grant_id: grant.id, sharers, queued })
}

/// Until when somebody may still be presenting the grant's token: then another may take its place,
/// and that is the one to revoke.
pub(super) fn busy_until(grant: &Grant, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    grant.lease_until.max(grant.call_deadline).filter(|until| *until > now)
}

async fn queue(
    connection: &mut AsyncPgConnection,
    grant: &Grant,
    call_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Uuid>> {
    let mut queued = Vec::new();
    for given_up in sharing::list_unqueued(connection, grant).await? {
        let (key, id) = (given_up.key(), Some(given_up.id));
        let call = ProviderCall::new(CallKind::Revoke, &key, id, call_at, now);
        queued.extend(provider_call::insert(connection, &call).await?);
    }
    Ok(queued)
}

/// Takes all ids from the grants that `filter` means and has them revoked at their providers,
/// where nobody else shares them. Within the caller's transaction, which must hold no lock on rows
/// of the vault yet; wake the outbox after it. Answers how many grants there were.
pub async fn queue_revocations(
    connection: &mut AsyncPgConnection,
    filter: GrantFilter<'_>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let grants = lock_matching(connection, filter).await?;
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.id).collect();
    persistent_token::delete_of_grants(connection, &ids).await?;
    for grant in &grants {
        release(connection, grant, now, now).await?;
    }
    Ok(grants.len())
}

/// Whether an id was made on the grants that `filter` means since [`queue_revocations`] took them all.
pub async fn has_new_ids(
    connection: &mut AsyncPgConnection,
    filter: GrantFilter<'_>,
) -> QueryResult<bool> {
    let grants = sharing::list_matching(connection, filter).await?;
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.id).collect();
    Ok(persistent_token::count_of_grants(connection, &ids).await? > 0)
}

/// Deletes the grants that `filter` means without a word to their providers, where it is over with
/// them already; what waited for them is revoked. Within the caller's transaction, as
/// [`queue_revocations`].
pub async fn delete_grants(
    connection: &mut AsyncPgConnection,
    filter: GrantFilter<'_>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let grants = lock_matching(connection, filter).await?;
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.id).collect();
    let deleted = sharing::delete(connection, &ids).await?;
    for grant in &grants {
        queue(connection, grant, now, now).await?;
    }
    Ok(deleted)
}

/// Has revoked what waited for the grant `dead`, which is good for nothing any more.
pub(super) async fn queue_waiting_for(
    connection: &mut AsyncPgConnection,
    dead: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    connection
        .transaction(async |connection| {
            let Some(dead) = grant::find(connection, dead).await? else { return Ok(()) };
            lock_grants(connection, std::slice::from_ref(&dead)).await?;
            queue(connection, &dead, now, now).await.map(drop)
        })
        .await
}

/// Looks again at all grants that wait for sharers, up to `batch` at once: those that nobody shares
/// with any more, say since the other grant has expired, are revoked. Answers how many; wake the
/// outbox where there are any.
pub(crate) async fn queue_unshared(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let (mut count, mut last) = (0, Uuid::nil());
    loop {
        let waiting = sharing::list_waiting(connection, last, batch).await?;
        let Some(&next) = waiting.last() else { return Ok(count) };
        for id in waiting {
            count += connection
                .transaction(async |connection| release_again(connection, id, now).await)
                .await?;
        }
        last = next;
    }
}

async fn release_again(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let seen = grant::find(connection, id).await?;
    lock_grants(connection, seen.as_slice()).await?;
    let grant = grant::find(connection, id).await?;
    let given_up = grant.filter(|grant| grant.state() == GrantState::Revoking);
    let Some(grant) = given_up else { return Ok(0) };
    Ok(release(connection, &grant, now, now).await?.queued.len())
}

/// The grants as they are once nobody else can change them.
async fn lock_matching(
    connection: &mut AsyncPgConnection,
    filter: GrantFilter<'_>,
) -> QueryResult<Vec<Grant>> {
    let seen = sharing::list_matching(connection, filter).await?;
    lock_grants(connection, &seen).await?;
    let locked = |grant: &Grant| seen.iter().any(|other| other.id == grant.id);
    let grants = sharing::list_matching(connection, filter).await?;
    Ok(grants.into_iter().filter(locked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_one_out_revokes() {
        let sharers =
            |same_grant, same_token, same_session| Sharers { same_grant, same_token, same_session };
        assert_eq!(Fate::decide(&sharers(0, 0, 0), false), Fate::Revoke);
        assert_eq!(Fate::decide(&sharers(1, 0, 0), false), Fate::Stay);
        assert_eq!(Fate::decide(&sharers(1, 1, 1), true), Fate::Stay);
        assert_eq!(Fate::decide(&sharers(0, 0, 1), false), Fate::Wait);
        assert_eq!(Fate::decide(&sharers(0, 1, 0), false), Fate::Forget);
    }

    #[test]
    fn a_token_that_may_come_back_as_another_is_not_forgotten() {
        let sharers = Sharers { same_token: 1, ..Sharers::default() };
        assert_eq!(Fate::decide(&sharers, true), Fate::Revoke);
    }
}
