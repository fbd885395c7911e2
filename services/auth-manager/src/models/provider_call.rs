//! `provider_calls`: the outbox, calls that providers still have to hear.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::delete_batch;
use super::grant::GrantKey;
use crate::schema::provider_calls;

/// An entry of the outbox.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = provider_calls)]
pub struct ProviderCall {
    /// Our own id.
    pub id: Uuid,
    /// See [`CallKind`].
    pub kind: String,
    /// `pending`, `calling` or `ended`.
    pub state: String,
    /// Where to.
    pub provider: String,
    /// Of whom.
    pub subject: String,
    /// Of which client.
    pub client_id: String,
    /// Of which session.
    pub session_state_id: String,
    /// The grant to be revoked.
    pub grant_id: Option<Uuid>,
    /// Calls so far.
    pub attempts: i32,
    /// Why the last one failed, in a word.
    pub last_error: Option<String>,
    /// When a call under way will have ended at the latest.
    pub calling_until: Option<DateTime<Utc>>,
    /// When to call next; of an ended one: when to forget it.
    pub next_at: DateTime<Utc>,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
}

/// What a call is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Revoke a grant's token.
    Revoke,
    /// End the provider's session.
    EndSession,
}

impl CallKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::EndSession => "end_session",
        }
    }
}

impl ProviderCall {
    /// A call to be made at `next_at`; `grant_id` where it revokes.
    #[must_use]
    pub fn new(
        kind: CallKind,
        key: &GrantKey<'_>,
        grant_id: Option<Uuid>,
        next_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            kind: kind.as_str().to_owned(),
            state: "pending".to_owned(),
            provider: key.provider.to_owned(),
            subject: key.subject.to_owned(),
            client_id: key.client_id.to_owned(),
            session_state_id: key.session_state_id.to_owned(),
            grant_id,
            attempts: 0,
            last_error: None,
            calling_until: None,
            next_at,
            created_at: now,
        }
    }

    /// The revocation of a token that stands in no row, to be remembered until `forget_at`.
    #[must_use]
    pub fn ended(key: &GrantKey<'_>, forget_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let call = Self::new(CallKind::Revoke, key, None, forget_at, now);
        Self { state: "ended".to_owned(), attempts: 1, ..call }
    }

    /// The identity that it concerns.
    #[must_use]
    pub fn key(&self) -> GrantKey<'_> {
        GrantKey {
            provider: &self.provider,
            subject: &self.subject,
            client_id: &self.client_id,
            session_state_id: &self.session_state_id,
        }
    }

    /// What it does; the table's check leaves no third kind.
    #[must_use]
    pub fn kind(&self) -> CallKind {
        if self.kind == CallKind::Revoke.as_str() { CallKind::Revoke } else { CallKind::EndSession }
    }

    /// Until when the call under way may last; none where none is, or where its holder is gone.
    #[must_use]
    pub fn under_way(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.calling_until.filter(|until| *until > now)
    }
}

/// Adds an entry where there is none yet for its grant or session; its id, if it was added.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    call: &ProviderCall,
) -> QueryResult<Option<Uuid>> {
    diesel::insert_into(provider_calls::table)
        .values(call)
        .on_conflict_do_nothing()
        .returning(provider_calls::id)
        .get_result(connection)
        .await
        .optional()
}

/// Finds an entry.
pub async fn find(
    connection: &mut AsyncPgConnection,
    id: Uuid,
) -> QueryResult<Option<ProviderCall>> {
    provider_calls::table
        .find(id)
        .select(ProviderCall::as_select())
        .first(connection)
        .await
        .optional()
}

/// Takes one due entry and has it due again at `again`, so that replicas take different ones and
/// one that dies with an entry in its hands loses nothing.
pub async fn claim_due(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    again: DateTime<Utc>,
) -> QueryResult<Option<ProviderCall>> {
    diesel::sql_query(
        "UPDATE provider_calls SET next_at = $2
         WHERE id = (
             SELECT id FROM provider_calls
             WHERE next_at <= $1 AND state <> 'ended'
               AND (calling_until IS NULL OR calling_until <= $1)
             ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING *",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(again)
    .get_result(connection)
    .await
    .optional()
}

/// Marks the beginning of a call; answers the mark as it is stored, to the microsecond, so that its
/// holder knows it again.
pub async fn begin(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    calling_until: DateTime<Utc>,
) -> QueryResult<Option<DateTime<Utc>>> {
    use provider_calls::dsl;
    diesel::update(dsl::provider_calls.find(id))
        .set((
            dsl::state.eq("calling"),
            dsl::calling_until.eq(calling_until),
            dsl::next_at.eq(calling_until),
            dsl::attempts.eq(dsl::attempts + 1),
        ))
        .returning(dsl::calling_until)
        .get_result(connection)
        .await
}

/// Back to waiting, until `next_at`.
pub async fn postpone(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    next_at: DateTime<Utc>,
    last_error: Option<&str>,
) -> QueryResult<usize> {
    use provider_calls::dsl;
    diesel::update(dsl::provider_calls.find(id))
        .set((
            dsl::state.eq("pending"),
            dsl::calling_until.eq(None::<DateTime<Utc>>),
            dsl::next_at.eq(next_at),
            dsl::last_error.eq(last_error),
        ))
        .execute(connection)
        .await
}

/// The call was heard; the entry is remembered until `forget_at`.
pub async fn end(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    forget_at: DateTime<Utc>,
) -> QueryResult<usize> {
    use provider_calls::dsl;
    diesel::update(dsl::provider_calls.find(id))
        .set((
            dsl::state.eq("ended"),
            dsl::grant_id.eq(None::<Uuid>),
            dsl::calling_until.eq(None::<DateTime<Utc>>),
            dsl::next_at.eq(forget_at),
            dsl::last_error.eq(None::<String>),
        ))
        .execute(connection)
        .await
}

/// Entries that a new grant of `key` meets: revocations of its identity, of either token type, and
/// ends of its session. Those that ended are among them for as long as they are to be remembered.
pub async fn list_concerning(
    connection: &mut AsyncPgConnection,
    key: &GrantKey<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<ProviderCall>> {
    use provider_calls::dsl;
    let same_grant = dsl::subject.eq(key.subject).and(dsl::client_id.eq(key.client_id));
    dsl::provider_calls
        .select(ProviderCall::as_select())
        .filter(dsl::provider.eq(key.provider))
        .filter(dsl::session_state_id.eq(key.session_state_id))
        .filter(dsl::kind.eq(CallKind::EndSession.as_str()).or(same_grant))
        .filter(dsl::state.ne("ended").or(dsl::next_at.gt(now)))
        .load(connection)
        .await
}

/// Removes entries.
pub async fn delete(connection: &mut AsyncPgConnection, ids: &[Uuid]) -> QueryResult<usize> {
    diesel::delete(provider_calls::table.filter(provider_calls::id.eq_any(ids)))
        .execute(connection)
        .await
}

/// Forgets up to `batch` ended ones whose time has come.
pub async fn delete_ended(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    let heard = "state = 'ended' AND next_at <= $1";
    delete_batch(connection, "provider_calls", heard, now, batch).await
}

/// How many calls are still to be heard.
pub async fn count_open(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    provider_calls::table
        .filter(provider_calls::state.ne("ended"))
        .count()
        .get_result(connection)
        .await
}
