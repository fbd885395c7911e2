//! Opening an account and logging in.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::failure::Failure;
use super::services::{Services, ask};
use super::show::{minute, plain};
use super::{Person, Profile, Session};
use crate::device::DeviceFile;

pub(super) const DEVICE_NAME: &str = "latchkey command line";

/// A session that has begun.
#[derive(Serialize)]
pub(super) struct LoggedIn {
    session_id: Uuid,
    device_id: String,
    user_id: Uuid,
    username: String,
    #[serde(serialize_with = "common::clock::serialize")]
    expires_at: DateTime<Utc>,
    /// Those that had to make room for it.
    ended_sessions: Vec<Value>,
}

impl fmt::Display for LoggedIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session_id, expires_at, .. } = self;
        write!(formatter, "logged in as {}, session {session_id}", plain(&self.username))?;
        write!(formatter, ", access until {}", minute(*expires_at))?;
        for ended in &self.ended_sessions {
            let id = ended["session_id"].as_str().unwrap_or_default();
            write!(formatter, "\nsession {} had to make room and has ended", plain(id))?;
        }
        Ok(())
    }
}

/// What login answers, as far as it is used here.
#[derive(Deserialize)]
struct Answer {
    session_id: Uuid,
    user: User,
    #[serde(flatten)]
    tokens: Tokens,
    #[serde(default)]
    ended_sessions: Vec<Value>,
}

#[derive(Deserialize)]
struct User {
    user_id: Uuid,
    username: String,
}

/// What login and refresh answer.
#[derive(Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    refresh_token: String,
    expires_in: i64,
}

impl Tokens {
    pub(super) fn into_session(self, session_id: Uuid) -> Session {
        let life = TimeDelta::try_seconds(self.expires_in).unwrap_or_default();
        Session {
            id: session_id,
            access_token: self.access_token,
            expires_at: Clock::default().now() + life,
            refresh_token: self.refresh_token,
        }
    }
}

pub(super) async fn register(
    person: &Person,
    username: &str,
    password: &str,
) -> Result<(), Failure> {
    let body = json!({ "username": username, "password": password });
    let request = person.services.user(Method::POST, "/api/auth/register").json(&body);
    ask::<Value>(request).await.map(drop)
}

/// On a new device, which takes the place of the one kept here.
pub(super) async fn log_in(
    person: &mut Person,
    username: &str,
    password: &str,
    device_name: &str,
) -> Result<LoggedIn, Failure> {
    let mut device = DeviceFile::new();
    let body = device.registration(Some(device_name));
    let request = person.services.user(Method::POST, "/api/auth/register-device").json(&body);
    let answer = ask(request).await?;
    device.agree(&answer).map_err(|error| Failure::Usage(error.to_string()))?;
    let former = person.profile.take();
    let logged_in = log_in_on(person, device, username, password).await?;
    if let Some(former) = former
        && end_former(&former).await.is_err()
    {
        eprintln!("the session of the former device could not be ended: `latchkey sessions`");
    }
    Ok(logged_in)
}

/// The former device's key is gone from here, so nobody could end its session any more. It is
/// ended where it was opened: its token is for no other service.
async fn end_former(former: &Profile) -> Result<(), Failure> {
    let Some(session) = &former.session else { return Ok(()) };
    let services = Services::new(&former.user_service, &former.chat_service)?;
    let body = json!({ "refresh_token": session.refresh_token });
    ask::<Value>(services.user(Method::POST, "/api/auth/logout").json(&body)).await.map(drop)
}

/// On the device kept here.
pub(super) async fn log_in_again(
    person: &mut Person,
    username: &str,
    password: &str,
) -> Result<LoggedIn, Failure> {
    let device = person.profile()?.device.clone();
    log_in_on(person, device, username, password).await
}

async fn log_in_on(
    person: &mut Person,
    device: DeviceFile,
    username: &str,
    password: &str,
) -> Result<LoggedIn, Failure> {
    let unusable = |error: anyhow::Error| Failure::File(format!("{error:#}"));
    let body = device.login(username, password).map_err(unusable)?;
    let device_id = device.id().map_err(unusable)?.to_owned();
    let request = person.services.user(Method::POST, "/api/auth/login").json(&body);
    let answer: Answer = ask(request).await?;
    let session = answer.tokens.into_session(answer.session_id);
    let logged_in = LoggedIn {
        session_id: answer.session_id,
        device_id,
        user_id: answer.user.user_id,
        username: answer.user.username.clone(),
        expires_at: session.expires_at,
        ended_sessions: answer.ended_sessions,
    };
    let profile = Profile {
        user_service: person.services.user_service.clone(),
        chat_service: person.services.chat_service.clone(),
        username: answer.user.username,
        device,
        session: Some(session),
    };
    person.store.save(&profile)?;
    person.profile = Some(profile);
    Ok(logged_in)
}
