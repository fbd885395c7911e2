//! `session_events`: what happened to a session.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::session_events;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = session_events)]
pub struct SessionEvent {
    /// Order.
    pub id: i64,
    /// Which session.
    pub session_id: Uuid,
    /// See [`EventKind`].
    pub kind: String,
    /// Why, where that says more.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Somebody signed in.
    SignedIn,
    /// They consented to offline use.
    Consented,
    /// Its tokens were cleared.
    TokensCleared,
    /// It ended.
    Ended,
    /// It came from an older layout.
    Imported,
}

impl EventKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Consented => "consented",
            Self::TokensCleared => "tokens_cleared",
            Self::Ended => "ended",
            Self::Imported => "imported",
        }
    }
}

/// Enters the same event for each of `sessions`.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    sessions: &[Uuid],
    kind: EventKind,
    reason: Option<&str>,
    at: DateTime<Utc>,
) -> QueryResult<usize> {
    use session_events::dsl;
    let rows: Vec<_> = sessions
        .iter()
        .map(|id| {
            (
                dsl::session_id.eq(*id),
                dsl::kind.eq(kind.as_str()),
                dsl::reason.eq(reason),
                dsl::at.eq(at),
            )
        })
        .collect();
    diesel::insert_into(session_events::table).values(rows).execute(connection).await
}

/// The latest `limit` events of each of `sessions`, newest first.
pub async fn list_of_each(
    connection: &mut AsyncPgConnection,
    sessions: &[Uuid],
    limit: i64,
) -> QueryResult<Vec<SessionEvent>> {
    diesel::sql_query(
        "SELECT event.* FROM unnest($1) AS wanted (id) CROSS JOIN LATERAL (
             SELECT * FROM session_events WHERE session_id = wanted.id
             ORDER BY id DESC LIMIT $2) AS event ORDER BY event.id DESC",
    )
    .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(sessions)
    .bind::<diesel::sql_types::BigInt, _>(limit)
    .load(connection)
    .await
}

/// The latest `limit` events of a session, newest first.
pub async fn list(
    connection: &mut AsyncPgConnection,
    session: Uuid,
    limit: i64,
) -> QueryResult<Vec<SessionEvent>> {
    use session_events::dsl;
    dsl::session_events
        .filter(dsl::session_id.eq(session))
        .order(dsl::id.desc())
        .limit(limit)
        .select(SessionEvent::as_select())
        .load(connection)
        .await
}
