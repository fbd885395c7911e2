//! The end of sessions: row, key, JWKS and change feed in one transaction.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::json;
use uuid::Uuid;

use super::{Caller, retire};
use crate::audit::{self, Event, Kind};
use crate::models::auth_session::{self, AuthSession, Which};
use crate::models::key_change::{self, ChangeKind, NewKeyChange};
use crate::models::published_key;
use crate::models::user_keyset::{self, Keyset};
use crate::signing::LARGEST_LEEWAY;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The person logged out.
    Logout,
    /// Everywhere.
    LogoutAll,
    /// Another login on the same device.
    Login,
    /// Another session changed the password.
    PasswordChanged,
    /// The person ended it from another one.
    SessionRemoved,
    /// The person removed its device.
    DeviceRemoved,
    /// An old refresh token was presented.
    Replay,
    /// A client revoked its refresh token.
    Revoked,
    /// Its life was over, or it rested too long.
    Expired,
    /// The person has newer ones, as many as one may have.
    TooManySessions,
}

impl EndReason {
    /// As stored and counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Login => "login",
            Self::PasswordChanged => "password_changed",
            Self::SessionRemoved => "session_removed",
            Self::DeviceRemoved => "device_removed",
            Self::Replay => "replay",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::TooManySessions => "too_many_sessions",
        }
    }
}

/// An end, and whose doing it is where a request brought it about.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    pub(super) reason: EndReason,
    by: Option<&'a Caller>,
}

impl EndReason {
    /// The same, brought about by `caller`.
    #[must_use]
    pub fn by(self, caller: &Caller) -> Ending<'_> {
        Ending { reason: self, by: Some(caller) }
    }
}

impl From<EndReason> for Ending<'_> {
    fn from(reason: EndReason) -> Self {
        Self { reason, by: None }
    }
}

impl Ending<'_> {
    fn event(self, session: &AuthSession) -> Event {
        let kind = match self.reason {
            EndReason::Logout | EndReason::LogoutAll | EndReason::SessionRemoved => Kind::LoggedOut,
            _ => Kind::FamilyRevoked,
        };
        let event = self.by.map_or_else(|| Event::new(kind), |caller| Event::by(kind, caller));
        let details = json!({ "reason": self.reason.as_str(), "api": session.api });
        Event { details, ..event.of(session) }
    }
}

/// Ends live sessions of `user` within the caller's transaction, which must hold no lock behind
/// the keyset's in the order of locks. Answers what ended.
pub async fn end(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    which: Which,
    ending: impl Into<Ending<'_>>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<AuthSession>> {
    let ending = ending.into();
    let mut keyset = user_keyset::lock(connection, user, now).await?;
    let ended = end_under_lock(connection, user, which, ending, &mut keyset, now).await?;
    user_keyset::save(connection, user, &keyset, now).await?;
    Ok(ended)
}

/// The same for a caller that holds the keyset's lock and saves it afterwards.
pub(super) async fn end_under_lock(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    which: Which,
    ending: impl Into<Ending<'_>>,
    keyset: &mut Keyset,
    now: DateTime<Utc>,
) -> QueryResult<Vec<AuthSession>> {
    let ended = auth_session::lock_live(connection, user, which).await?;
    if !ended.is_empty() {
        end_rows(connection, &ended, ending.into(), keyset, now).await?;
    }
    retire::without_session(connection, which, keyset, now).await?;
    Ok(ended)
}

async fn end_rows(
    connection: &mut AsyncPgConnection,
    ended: &[AuthSession],
    ending: Ending<'_>,
    keyset: &mut Keyset,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let ids: Vec<Uuid> = ended.iter().map(|session| session.id).collect();
    auth_session::end(connection, &ids, ending.reason.as_str(), now).await?;
    let events: Vec<Event> = ended.iter().map(|session| ending.event(session)).collect();
    audit::record_all(connection, &events).await?;
    let kids = revoked_kids(ended);
    keyset.remove(&kids.iter().map(|(kid, _)| kid.as_str()).collect::<Vec<_>>());
    published_key::revoke(connection, &kids).await?;
    key_change::insert(connection, &changes(ended, now)).await?;
    Ok(())
}

/// Until when a token of `session` could still be accepted somewhere.
fn until(session: &AuthSession) -> DateTime<Utc> {
    session.last_access_expires_at + LARGEST_LEEWAY
}

fn revoked_kids(ended: &[AuthSession]) -> Vec<(String, DateTime<Utc>)> {
    ended.iter().filter_map(|session| Some((session.kid.clone()?, until(session)))).collect()
}

/// What verifiers must hear; of a session whose last token has expired everywhere, nothing.
fn changes(ended: &[AuthSession], now: DateTime<Utc>) -> Vec<NewKeyChange> {
    ended
        .iter()
        .filter(|session| until(session) > now)
        .flat_map(|session| {
            let until = until(session);
            let kid =
                session.kid.as_ref().map(|kid| NewKeyChange::new(ChangeKind::Kid, kid, until));
            kid.into_iter().chain([NewKeyChange::new(ChangeKind::Sid, &session.id, until)])
        })
        .collect()
}
