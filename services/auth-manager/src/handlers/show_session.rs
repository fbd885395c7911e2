use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, SegmentPath};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Success;
use crate::callers::Person;
use crate::error::Error;
use crate::models::session_event::{self, SessionEvent};
use crate::models::user_session::{self, UserSession};
use crate::state::State;

/// Events shown of one session.
pub(super) const EVENTS: i64 = 50;

/// A session of the caller: metadata only, never tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// For `sessions/{id}`.
    #[schema(example = "7c7bd0a4-52f5-4a86-a0a8-9a3c84a3c0de")]
    id: Uuid,
    #[schema(example = "keycloak")]
    provider: Option<String>,
    /// The provider's session.
    #[schema(example = "AkFqGdVbJDUKQTpS2dBCs3Ea")]
    session_state_id: Option<String>,
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64) …")]
    user_agent: Option<String>,
    /// Where it was opened, as a /24 or /48.
    #[schema(example = "192.0.2.0/24")]
    address_range: Option<String>,
    #[schema(example = true)]
    active: bool,
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:04:05Z")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:14:05Z")]
    last_accessed_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize_optional")]
    #[schema(example = "2026-01-02T13:04:05Z")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "common::clock::serialize_optional")]
    #[schema(example = "2026-01-02T04:04:05Z")]
    ended_at: Option<DateTime<Utc>>,
    /// Whether it is the one asking.
    #[schema(example = true)]
    current: bool,
    /// What happened to it, newest first.
    events: Vec<EventView>,
}

/// What happened to a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventView {
    /// `signed_in`, `consented`, `tokens_cleared`, `ended` or `imported`.
    #[schema(example = "signed_in")]
    kind: String,
    /// Why, where that says more: `user`, `backchannel_logout`, `unlinked` or `expired`.
    #[schema(example = "backchannel_logout")]
    reason: Option<String>,
    #[serde(serialize_with = "common::clock::serialize")]
    #[schema(example = "2026-01-02T03:04:05Z")]
    at: DateTime<Utc>,
}

impl SessionView {
    pub(super) fn new(session: UserSession, events: &[SessionEvent], person: &Person) -> Self {
        let sid = session.provider_session_id.as_deref();
        let events = events.iter().filter(|event| event.session_id == session.id);
        Self {
            current: session.provider.as_deref() == Some(&person.provider)
                && sid == Some(&person.session_state_id),
            events: events.map(EventView::new).collect(),
            id: session.id,
            provider: session.provider,
            session_state_id: session.provider_session_id,
            user_agent: session.user_agent,
            address_range: session.address_range,
            active: session.active,
            started_at: session.created_at,
            last_accessed_at: session.last_accessed_at,
            expires_at: session.expires_at,
            ended_at: session.ended_at,
        }
    }
}

impl EventView {
    fn new(event: &SessionEvent) -> Self {
        Self { kind: event.kind.clone(), reason: event.reason.clone(), at: event.at }
    }
}

/// Show one of the caller's sessions, live or ended
#[utoipa::path(tag = "sessions", params(("id" = Uuid, Path, description = "From the list",
    example = "7c7bd0a4-52f5-4a86-a0a8-9a3c84a3c0de")),
    security(("bearer" = [])), responses(
    (status = 200, description = "The session with its latest events", body = Success<SessionView>),
    (status = 401, description = "`unauthorized` or `token_not_active`", body = ErrorBody),
    (status = 404, description = "`session_not_found`: none of the caller's", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/sessions/{id}")]
pub(crate) async fn show_session(
    state: web::Data<State>,
    person: Person,
    SegmentPath(id): SegmentPath<Uuid>,
) -> Result<web::Json<Success<SessionView>>, Error> {
    let id = id.ok_or(Error::SessionNotFound)?;
    let mut connection = state.pool.get().await?;
    let session = user_session::find(&mut connection, person.user_id, id).await?;
    let session = session.ok_or(Error::SessionNotFound)?;
    let events = session_event::list(&mut connection, id, EVENTS).await?;
    Ok(Success::json(SessionView::new(session, &events, &person)))
}
