//! The lease on an `auth_vault` row, under which its token is presented to the provider.
//!
//! Every write says what it believes of the row, so that a holder who was away too long changes
//! nothing that others have decided meanwhile. Only the token's own write asks for nothing but the
//! version presented: what did arrive is never thrown away.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::grant::{GrantHead, GrantState};
use crate::schema::auth_vault;

/// Whom a lease is for.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The grant.
    pub grant_id: Uuid,
    /// A random id per call.
    pub id: Uuid,
    /// The version of the token to be presented.
    pub version: i64,
}

/// What the holder of a lease gets to see.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = auth_vault)]
pub struct Leased {
    /// See [`GrantState`].
    pub state: String,
    /// How often this token was sent so far.
    pub presentations: i32,
    /// The sealed token.
    pub encrypted_token: Vec<u8>,
}

/// A token that takes another's place.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = auth_vault, treat_none_as_null = true)]
pub struct Successor {
    /// Sealed.
    pub encrypted_token: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// See [`vault_crypto::TokenHasher`].
    pub token_hash: Vec<u8>,
    /// When the grant ends if it is not used; none: no maximum.
    pub grant_expires_at: Option<DateTime<Utc>>,
}

const PRESENTABLE: [&str; 2] = [GrantState::Live.as_str(), GrantState::OutcomeUnknown.as_str()];
/// A call that began under a lease now lost: nobody knows what came of it.
const UNKNOWN_IF_CALLED: &str =
    "CASE WHEN call_deadline IS NULL THEN state ELSE 'outcome_unknown' END";
/// A revocation decided meanwhile stands.
const UNKNOWN: &str = "CASE WHEN state = 'revoking' THEN state ELSE 'outcome_unknown' END";
const LIVE: &str = "CASE WHEN state = 'revoking' THEN state ELSE 'live' END";

/// Takes the lease on the grant that `seen` shows, where nobody holds it, no call can still be
/// under way, and nothing has changed since. None where it is not so.
pub async fn take(
    connection: &mut AsyncPgConnection,
    seen: &GrantHead,
    holder: Holder,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Option<Leased>> {
    use auth_vault::dsl;
    let free = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        // Moves where a token was obtained without the version moving.
        .filter(dsl::updated_at.eq(seen.updated_at))
        .filter(dsl::state.eq_any(PRESENTABLE))
        .filter(dsl::lease_until.is_null().or(dsl::lease_until.le(now)))
        .filter(dsl::call_deadline.is_null().or(dsl::call_deadline.le(now)));
    diesel::update(free)
        .set((
            dsl::state.eq(sql::<Text>(UNKNOWN_IF_CALLED)),
            dsl::lease_holder.eq(holder.id),
            dsl::lease_until.eq(until),
            dsl::call_deadline.eq(None::<DateTime<Utc>>),
        ))
        .returning(Leased::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// Counts a presentation before it is made, and says when its call will have ended at the latest.
/// False where the lease is lost or the grant no longer to be presented.
pub async fn begin_call(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    deadline: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_vault::dsl;
    let held = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        .filter(dsl::lease_holder.eq(holder.id))
        .filter(dsl::state.eq_any(PRESENTABLE));
    let begun = diesel::update(held)
        .set((dsl::presentations.eq(dsl::presentations + 1), dsl::call_deadline.eq(deadline)))
        .execute(connection)
        .await?;
    Ok(begun == 1)
}

/// Keeps the lease for longer; false where it is lost.
pub async fn renew(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    until: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_vault::dsl;
    let held = dsl::auth_vault.find(holder.grant_id).filter(dsl::lease_holder.eq(holder.id));
    Ok(diesel::update(held).set(dsl::lease_until.eq(until)).execute(connection).await? == 1)
}

/// Gives the lease back; `unsent` takes back the presentation counted, since the provider has not
/// used the token.
pub async fn release(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    unsent: bool,
) -> QueryResult<usize> {
    use auth_vault::dsl;
    let held = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        .filter(dsl::lease_holder.eq(holder.id));
    diesel::update(held)
        .set((
            dsl::presentations.eq(dsl::presentations - i32::from(unsent)),
            dsl::lease_holder.eq(None::<Uuid>),
            dsl::lease_until.eq(None::<DateTime<Utc>>),
            dsl::call_deadline.eq(None::<DateTime<Utc>>),
        ))
        .execute(connection)
        .await
}

/// Says that no answer came. The lease ends, but not the call: until its deadline the provider may
/// still be at it.
pub async fn lose_answer(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use auth_vault::dsl;
    let held = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        .filter(dsl::lease_holder.eq(holder.id));
    diesel::update(held)
        .set((
            dsl::state.eq(sql::<Text>(UNKNOWN)),
            dsl::lease_until.eq(now),
            dsl::updated_at.eq(now),
        ))
        .execute(connection)
        .await
}

/// Marks the grant as dead; false where the lease is lost or the grant is to be revoked, which
/// stands.
pub async fn mark_dead(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use auth_vault::dsl;
    let presented = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        .filter(dsl::lease_holder.eq(holder.id))
        .filter(dsl::state.eq_any(PRESENTABLE));
    let marked = diesel::update(presented)
        .set((
            dsl::state.eq(GrantState::Dead.as_str()),
            dsl::dead_reason.eq(reason),
            Settled::at(now),
        ))
        .execute(connection)
        .await?;
    Ok(marked == 1)
}

/// Puts the token that arrived in the place of the one presented, and answers the grant's state;
/// none where the row has yet another by now, or is gone.
pub async fn replace_token(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    successor: &Successor,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    use auth_vault::dsl;
    let presented = dsl::auth_vault.find(holder.grant_id).filter(dsl::version.eq(holder.version));
    diesel::update(presented)
        .set((
            successor,
            dsl::version.eq(dsl::version + 1),
            dsl::presentations.eq(0),
            dsl::state.eq(sql::<Text>(LIVE)),
            dsl::dead_reason.eq(None::<String>),
            Settled::at(now),
        ))
        .returning(dsl::state)
        .get_result(connection)
        .await
        .optional()
}

/// Settles a call whose answer brought an access token but no other grant token, and perhaps when
/// that one now ends; answers the grant's state, none where the lease is lost.
pub async fn keep_token(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    use auth_vault::dsl;
    let held = dsl::auth_vault
        .find(holder.grant_id)
        .filter(dsl::version.eq(holder.version))
        .filter(dsl::lease_holder.eq(holder.id));
    // An end that the token has outlived is none.
    let expires_at = sql::<Nullable<Timestamptz>>("coalesce(")
        .bind::<Nullable<Timestamptz>, _>(expires_at)
        .sql(", CASE WHEN grant_expires_at > ")
        .bind::<Timestamptz, _>(now)
        .sql(" THEN grant_expires_at END)");
    diesel::update(held)
        .set((
            dsl::presentations.eq(0),
            dsl::grant_expires_at.eq(expires_at),
            dsl::state.eq(sql::<Text>(LIVE)),
            dsl::dead_reason.eq(None::<String>),
            Settled::at(now),
        ))
        .returning(dsl::state)
        .get_result(connection)
        .await
        .optional()
}

/// A call that is over, and with it the lease.
#[derive(AsChangeset)]
#[diesel(table_name = auth_vault, treat_none_as_null = true)]
struct Settled {
    lease_holder: Option<Uuid>,
    lease_until: Option<DateTime<Utc>>,
    call_deadline: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

impl Settled {
    fn at(now: DateTime<Utc>) -> Self {
        Self { lease_holder: None, lease_until: None, call_deadline: None, updated_at: now }
    }
}
