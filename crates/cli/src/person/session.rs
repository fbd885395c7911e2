//! The session: its tokens, its end, and the others beside it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Person;
use super::account::Tokens;
use super::failure::Failure;
use super::services::{Services, ask};
use super::show::{minute, plain};

/// A token is refreshed this long before its end.
const MARGIN: TimeDelta = TimeDelta::seconds(30);

/// Calls with an access token, refreshed first where it is about to end, and once more where the
/// service thinks it has.
pub(super) async fn authorized<T: DeserializeOwned>(
    person: &mut Person,
    request: impl Fn(&Services) -> RequestBuilder,
) -> Result<T, Failure> {
    if person.session()?.expires_at - Clock::default().now() < MARGIN {
        refresh(person).await?;
    }
    let attempt = request(&person.services).bearer_auth(&person.session()?.access_token);
    match ask(attempt).await {
        Err(Failure::Refused { status: 401, code, .. }) if code == "invalid_token" => {
            refresh(person).await?;
            ask(request(&person.services).bearer_auth(&person.session()?.access_token)).await
        }
        done => done,
    }
}

/// Fresh tokens.
#[derive(Serialize)]
pub(super) struct Refreshed {
    session_id: Uuid,
    #[serde(serialize_with = "common::clock::serialize")]
    expires_at: DateTime<Utc>,
}

impl fmt::Display for Refreshed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "refreshed, access until {}", minute(self.expires_at))
    }
}

/// Always with the device's proof: if the answer or this process is lost, the token that is still
/// kept buys the same successor.
pub(super) async fn refresh(person: &mut Person) -> Result<Refreshed, Failure> {
    let session = person.session()?;
    let session_id = session.id;
    let body = person.profile()?.device.refresh(&session.refresh_token);
    let body = body.map_err(|error| Failure::File(format!("{error:#}")))?;
    let request = person.services.user(Method::POST, "/api/auth/refresh").json(&body);
    let session = ask::<Tokens>(request).await?.into_session(session_id);
    let expires_at = session.expires_at;
    person.keep(Some(session))?;
    Ok(Refreshed { session_id, expires_at })
}

/// A live session, as user-service lists it.
#[derive(Serialize, Deserialize)]
pub(super) struct View {
    pub(super) session_id: Uuid,
    pub(super) device_id: Uuid,
    pub(super) device_name: Option<String>,
    user_agent: Option<String>,
    address_range: String,
    #[serde(serialize_with = "common::clock::serialize")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "common::clock::serialize")]
    last_seen_at: DateTime<Utc>,
    pub(super) current: bool,
    /// The device key that signs; none where a service key does.
    pub(super) kid: Option<String>,
}

/// Live sessions, newest first.
#[derive(Serialize)]
pub(super) struct Sessions {
    pub(super) items: Vec<View>,
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = plain(self.device_name.as_deref().unwrap_or("a device without a name"));
        write!(formatter, "{} {name}", self.session_id)?;
        let (range, seen) = (plain(&self.address_range), minute(self.last_seen_at));
        write!(formatter, ", last seen {seen} at {range}")?;
        if self.current { write!(formatter, " (this one)") } else { Ok(()) }
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.items.iter().map(View::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<View>,
    next_before: Option<String>,
}

pub(super) async fn list(person: &mut Person) -> Result<Sessions, Failure> {
    let (mut items, mut before) = (Vec::new(), None::<String>);
    loop {
        let page: Page = authorized(person, |services| {
            services.user(Method::GET, "/api/auth/sessions").query(&[("before", before.as_ref())])
        })
        .await?;
        items.extend(page.items);
        before = page.next_before;
        if before.is_none() {
            return Ok(Sessions { items });
        }
    }
}

/// A session that is over.
#[derive(Serialize)]
pub(super) struct Ended {
    session_id: Uuid,
    /// Whether it was this device's.
    current: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.current {
            write!(formatter, "logged out")
        } else {
            write!(formatter, "session {} has ended", self.session_id)
        }
    }
}

pub(super) async fn log_out(person: &mut Person) -> Result<Ended, Failure> {
    let session = person.session()?;
    let session_id = session.id;
    let body = json!({ "refresh_token": session.refresh_token });
    ask::<Value>(person.services.user(Method::POST, "/api/auth/logout").json(&body)).await?;
    person.keep(None)?;
    Ok(Ended { session_id, current: true })
}

pub(super) async fn end_one(person: &mut Person, session_id: Uuid) -> Result<Ended, Failure> {
    let path = format!("/api/auth/sessions/{session_id}");
    authorized::<Value>(person, |services| services.user(Method::DELETE, &path)).await?;
    let current = person.session()?.id == session_id;
    if current {
        person.keep(None)?;
    }
    Ok(Ended { session_id, current })
}

/// Nobody is logged in any more.
#[derive(Serialize, Deserialize)]
pub(super) struct AllEnded {
    sessions_ended: u64,
}

impl fmt::Display for AllEnded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ended, this device's too", self.sessions_ended)
    }
}

pub(super) async fn end_all(person: &mut Person) -> Result<AllEnded, Failure> {
    let ended =
        authorized(person, |services| services.user(Method::POST, "/api/auth/logout-all")).await?;
    person.keep(None)?;
    Ok(ended)
}
