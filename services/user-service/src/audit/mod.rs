//! Security events: what happened to accounts, sessions and keys, with full data, in a chain in
//! which nothing can be changed, left out or put in unseen.
//!
//! A row is written in the transaction that it describes and waits for nobody. One replica at a
//! time links committed rows afterwards (`chain.rs`), in the order in which it finds them: whatever
//! is not linked yet is found by just that, so none is skipped however late it commits, and no
//! transaction that stays open elsewhere holds up the others.

mod chain;
mod checkpoints;
mod forget;
mod former;
mod keys;
mod kind;
mod operate;
mod purge;
mod queue;
mod rounds;
mod rules;
mod seal;
mod verify;
mod watched;

use common::http::ClientAddress;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(crate) use chain::run;
pub use keys::ChainKeys;
pub use kind::Kind;
pub use operate::{Audit, Exported, ExportedEvent, Retention, SignedCheckpoint, SignedHead};
pub use purge::Purged;
pub use queue::Recorder;
pub use rounds::Rounds;
pub use rules::Rules;
pub use verify::{Bad, Verified};
pub(crate) use watched::{WatchedCaptcha, WatchedLimiter};

use crate::models::auth_session::AuthSession;
use crate::models::security_event::{self, NewSecurityEvent};
use crate::sessions::Caller;

/// Members of `details` that name nobody: they stay when a user is forgotten.
const IMPERSONAL: [&str; 12] = [
    "action",
    "api",
    "change_id",
    "counter",
    "emergency",
    "keys",
    "kid",
    "limit",
    "newest",
    "reason",
    "role",
    "trusted",
];

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Whose account.
    pub user: Option<Uuid>,
    /// In which session.
    pub session: Option<Uuid>,
    /// On which device.
    pub device: Option<Uuid>,
    /// From where.
    pub address: Option<ClientAddress>,
    /// With what.
    pub user_agent: Option<String>,
    /// What else is known: an object. What it names beside the members listed here counts as
    /// personal.
    pub details: Value,
}

impl Event {
    /// Of which nothing else is known.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            user: None,
            session: None,
            device: None,
            address: None,
            user_agent: None,
            details: json!({}),
        }
    }

    /// That came of a request.
    #[must_use]
    pub fn by(kind: Kind, caller: &Caller) -> Self {
        let (address, user_agent) = (Some(caller.address), caller.user_agent.clone());
        Self { address, user_agent, ..Self::new(kind) }
    }

    /// The same, in `session` on its device.
    #[must_use]
    pub fn of(mut self, session: &AuthSession) -> Self {
        self.user = Some(session.user_id);
        self.session = Some(session.id);
        self.device = Some(session.device_id);
        self
    }

    fn row(&self) -> NewSecurityEvent {
        let all = self.details.as_object().cloned().unwrap_or_default();
        let (details, personal): (Map<_, _>, Map<_, _>) =
            all.into_iter().partition(|(name, _)| IMPERSONAL.contains(&name.as_str()));
        NewSecurityEvent {
            kind: self.kind.as_str(),
            user_id: self.user,
            session_id: self.session,
            device_id: self.device,
            address: self.address.map(|address| address.0.to_string()),
            user_agent: self.user_agent.clone(),
            details: details.into(),
            personal: personal.into(),
            once: None,
        }
    }
}

/// Writes `event` in the transaction that it describes.
pub async fn record(connection: &mut AsyncPgConnection, event: &Event) -> QueryResult<()> {
    security_event::insert(connection, event.row()).await.map(|_| ())
}

/// The same for many.
pub async fn record_all(connection: &mut AsyncPgConnection, events: &[Event]) -> QueryResult<()> {
    let rows: Vec<_> = events.iter().map(Event::row).collect();
    match rows.as_slice() {
        [] => Ok(()),
        [row] => security_event::insert(connection, row.clone()).await.map(|_| ()),
        _ => security_event::insert_all(connection, rows).await.map(|_| ()),
    }
}
