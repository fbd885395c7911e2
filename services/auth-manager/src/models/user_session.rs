//! `user_sessions`: metadata of people's sessions at a provider, never tokens.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::delete_batch;
use crate::schema::user_sessions;

/// A session, live or ended.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = user_sessions)]
pub struct UserSession {
    /// `session_id` in answers.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The account that signed in; none once it was unlinked.
    pub account_id: Option<Uuid>,
    /// The provider's name; none before an older layout's session is imported.
    pub provider: Option<String>,
    /// The provider's sid; `session_state_id` in answers.
    pub provider_session_id: Option<String>,
    /// Tells devices apart in a list.
    pub fingerprint: Option<String>,
    /// User agent at sign-in.
    pub user_agent: Option<String>,
    /// Address range at sign-in.
    pub address_range: Option<String>,
    /// What callers and imports add.
    pub metadata: Value,
    /// Whether it has not ended.
    pub active: bool,
    /// Sign-in.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
    /// Last use, to a minute.
    pub last_accessed_at: DateTime<Utc>,
    /// When the provider said that it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Which live sessions are meant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// One of a user's.
    One(Uuid, Uuid),
    /// All of a user's.
    User(Uuid),
    /// Those that an account signed in to.
    Account(Uuid),
    /// The one that a provider knows by this sid.
    Provider(&'a str, &'a str),
}

impl UserSession {
    /// Whether its time ran out before anybody ended it.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.ended_at.is_some() && self.ended_at == self.expires_at
    }
}

/// Stores a session. One that the provider knows by the same sid is the same session: it keeps its
/// id and, had it ended, begins again.
pub async fn store(
    connection: &mut AsyncPgConnection,
    session: &UserSession,
) -> QueryResult<UserSession> {
    use user_sessions::dsl;
    diesel::insert_into(user_sessions::table)
        .values(session)
        .on_conflict((dsl::provider, dsl::provider_session_id))
        .do_update()
        .set((
            dsl::user_id.eq(session.user_id),
            dsl::account_id.eq(session.account_id),
            dsl::fingerprint.eq(&session.fingerprint),
            dsl::user_agent.eq(&session.user_agent),
            dsl::address_range.eq(&session.address_range),
            (dsl::active.eq(true), dsl::ended_at.eq(None::<DateTime<Utc>>)),
            dsl::updated_at.eq(session.updated_at),
            dsl::last_accessed_at.eq(session.last_accessed_at),
            dsl::expires_at.eq(session.expires_at),
        ))
        .returning(UserSession::as_returning())
        .get_result(connection)
        .await
}

/// A session of `user`, live or ended, without its tokens; those are
/// [`super::sharing::list_of_session`]'s.
pub async fn find(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    id: Uuid,
) -> QueryResult<Option<UserSession>> {
    user_sessions::table
        .find(id)
        .filter(user_sessions::user_id.eq(user))
        .select(UserSession::as_select())
        .first(connection)
        .await
        .optional()
}

/// The session that `provider` knows by `sid`, live or ended.
pub async fn find_by_provider_session(
    connection: &mut AsyncPgConnection,
    provider: &str,
    sid: &str,
) -> QueryResult<Option<UserSession>> {
    user_sessions::table
        .filter(user_sessions::provider.eq(provider))
        .filter(user_sessions::provider_session_id.eq(sid))
        .select(UserSession::as_select())
        .first(connection)
        .await
        .optional()
}

/// The same, kept from being ended until the transaction is over.
pub async fn lock_against_end(
    connection: &mut AsyncPgConnection,
    provider: &str,
    sid: &str,
) -> QueryResult<Option<UserSession>> {
    use user_sessions::dsl;
    dsl::user_sessions
        .select(UserSession::as_select())
        .filter(dsl::provider.eq(provider))
        .filter(dsl::provider_session_id.eq(sid))
        .for_share()
        .first(connection)
        .await
        .optional()
}

/// Sessions of `user` that are live at `now`, newest first, those opened before `before`.
pub async fn list_live(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<UserSession>> {
    use user_sessions::dsl;
    let mut live = dsl::user_sessions
        .select(UserSession::as_select())
        .filter(dsl::user_id.eq(user))
        .filter(dsl::active.and(is_unexpired(now)))
        .order((dsl::created_at.desc(), dsl::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        live =
            live.filter(dsl::created_at.lt(time).or(dsl::created_at.eq(time).and(dsl::id.lt(id))));
    }
    live.load(connection).await
}

/// Ids of all sessions of `user` that are live at `now`.
pub async fn list_live_ids(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Uuid>> {
    use user_sessions::dsl;
    let live = dsl::active.and(is_unexpired(now));
    let live = dsl::user_sessions.filter(dsl::user_id.eq(user)).filter(live);
    live.select(dsl::id).order(dsl::id).load(connection).await
}

/// Ids of sessions that nobody has ended and whose time has run out.
pub async fn list_expired(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Uuid>> {
    use user_sessions::dsl;
    dsl::user_sessions
        .select(dsl::id)
        .filter(dsl::active)
        .filter(dsl::expires_at.le(now))
        .order(dsl::expires_at)
        .limit(limit)
        .load(connection)
        .await
}

/// Whether the provider has not said that a session is over by now.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn is_unexpired(now: DateTime<Utc>) -> _ {
    let ends: user_sessions::expires_at = user_sessions::expires_at;
    ends.is_null().or(ends.assume_not_null().gt(now))
}

/// Records that the provider gave new tokens for a live session, and when it now ends.
pub async fn touch_refreshed(
    connection: &mut AsyncPgConnection,
    provider: &str,
    sid: &str,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use user_sessions::dsl;
    let live = dsl::user_sessions
        .filter(dsl::provider.eq(provider).and(dsl::provider_session_id.eq(sid)))
        .filter(dsl::active);
    let updated = diesel::update(live)
        .set((
            dsl::expires_at.eq(expires_at),
            dsl::updated_at.eq(now),
            dsl::last_accessed_at.eq(now),
        ))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Records a use, where the last one recorded is older than `unless_since`.
pub async fn touch_accessed(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    unless_since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use user_sessions::dsl;
    let stale = dsl::user_sessions.find(id).filter(dsl::last_accessed_at.lt(unless_since));
    diesel::update(stale).set(dsl::last_accessed_at.eq(now)).execute(connection).await
}

/// Ends live sessions and answers them as they now are.
pub async fn end(
    connection: &mut AsyncPgConnection,
    which: Which<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<UserSession>> {
    use user_sessions::dsl;
    let end = (dsl::active.eq(false), dsl::ended_at.eq(now), dsl::updated_at.eq(now));
    let live = diesel::update(dsl::user_sessions).filter(dsl::active).set(end);
    let live = match which {
        Which::One(user, id) => live.filter(dsl::user_id.eq(user).and(dsl::id.eq(id))).into_boxed(),
        Which::User(user) => live.filter(dsl::user_id.eq(user)).into_boxed(),
        Which::Account(account) => live.filter(dsl::account_id.eq(account)).into_boxed(),
        Which::Provider(provider, sid) => live
            .filter(dsl::provider.eq(provider).and(dsl::provider_session_id.eq(sid)))
            .into_boxed(),
    };
    live.returning(UserSession::as_returning()).get_results(connection).await
}

/// Ends a session whose time has run out, as of then; none where it has been ended, or goes on.
pub async fn expire(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Option<UserSession>> {
    use user_sessions::dsl;
    let over = dsl::user_sessions.find(id).filter(dsl::active).filter(dsl::expires_at.le(now));
    diesel::update(over)
        .set((dsl::active.eq(false), dsl::ended_at.eq(dsl::expires_at), dsl::updated_at.eq(now)))
        .returning(UserSession::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// Deletes a batch of sessions that ended before `time`, with their events.
pub async fn delete_ended(
    connection: &mut AsyncPgConnection,
    time: DateTime<Utc>,
    batch: i64,
) -> QueryResult<usize> {
    delete_batch(connection, "user_sessions", "ended_at <= $1", time, batch).await
}
