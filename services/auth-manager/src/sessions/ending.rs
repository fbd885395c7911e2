//! Ends of sessions, which replicas tell each other: what any of them remembers of a caller ends
//! with the session.

use common::database::{self, Database, Wake};
use diesel::QueryResult;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde::{Deserialize, Serialize};

use crate::models::user_session::UserSession;
use crate::state::State;

/// The channel that all replicas listen on.
const CHANNEL: &str = "session_ends";
/// PostgreSQL takes no payload of this length, in bytes.
const TOO_LONG: usize = 8000;

/// Whose callers are to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// A session's: the provider, and its id there.
    Session(String, String),
    /// A person's: the provider, and their subject there.
    Subject(String, String),
    /// Everybody's.
    All,
}

impl Ending {
    /// Of a session of ours; none where no provider knows it.
    pub(super) fn of(session: &UserSession) -> Option<Self> {
        let (provider, sid) = (session.provider.as_ref()?, session.provider_session_id.as_ref()?);
        Some(Self::Session(provider.clone(), sid.clone()))
    }

    fn payload(&self) -> String {
        let payload = serde_json::json!(self).to_string();
        if payload.len() < TOO_LONG { payload } else { Self::All.payload() }
    }

    /// What cannot be read is a newer replica's, and could be anybody's.
    fn read(payload: &str) -> Self {
        serde_json::from_str(payload).unwrap_or(Self::All)
    }

    /// Has this replica forget.
    pub(super) fn forget(&self, state: &State) {
        match self {
            Self::Session(provider, sid) => {
                state.sessions.forget(provider, sid);
                state.callers.forget_session(provider, sid);
            }
            Self::Subject(provider, subject) => state.callers.forget_subject(provider, subject),
            Self::All => {
                state.sessions.forget_all();
                state.callers.forget_all();
            }
        }
    }
}

/// Tells all replicas, once the transaction is committed.
pub(super) async fn tell(
    connection: &mut AsyncPgConnection,
    endings: &[Ending],
) -> QueryResult<()> {
    if endings.is_empty() {
        return Ok(());
    }
    let payloads: Vec<String> = endings.iter().map(Ending::payload).collect();
    diesel::sql_query("SELECT pg_notify($1, payload) FROM unnest($2) AS payload")
        .bind::<Text, _>(CHANNEL)
        .bind::<Array<Text>, _>(payloads)
        .execute(connection)
        .await
        .map(drop)
}

/// Hears what all replicas tell, until the service drains.
pub(crate) async fn hear_endings(state: State, database: Database) {
    let on_wake = |wake| match wake {
        // What was told before was missed.
        Wake::Connected => Ending::All.forget(&state),
        Wake::Notified(payload) => Ending::read(&payload).forget(&state),
        Wake::Lost => tracing::warn!("listen_lost"),
    };
    tokio::select! {
        () = state.draining.cancelled() => {}
        () = database::listen(database, CHANNEL, on_wake) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_survives_the_channel_and_what_does_not_is_everybody_s() {
        let of = |id: &str| Ending::Session("keycloak".to_owned(), id.to_owned());
        let subject = Ending::Subject("keycloak".to_owned(), "a/\"b".to_owned());
        for ending in [of("sid"), subject, Ending::All] {
            assert_eq!(Ending::read(&ending.payload()), ending);
        }
        let long = of(&"a".repeat(TOO_LONG)).payload();
        assert_eq!((Ending::read(&long), Ending::read("later")), (Ending::All, Ending::All));
    }
}
