//! Rooms and messages.

use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Person;
use super::failure::Failure;
use super::session::authorized;
use super::show::plain;

/// Where a message goes.
pub(super) enum Room {
    /// Into a room that is there, joined first where one is no member yet.
    Known { id: Uuid, join: bool },
    /// Into a new public one of this name.
    New(String),
}

/// A room that the person is in.
#[derive(Deserialize)]
pub(super) struct Joined {
    pub(super) room_id: Uuid,
    pub(super) name: String,
}

impl fmt::Display for Joined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", plain(&self.name), self.room_id)
    }
}

/// A message that was taken.
#[derive(Serialize)]
pub(super) struct Sent {
    #[serde(flatten)]
    answer: Answer,
    client_message_id: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    message_id: Uuid,
    room_id: Uuid,
    seq: i64,
    sent_at: String,
}

impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sent as number {} in room {}", self.answer.seq, self.answer.room_id)
    }
}

/// The newest rooms, one page: enough to choose from.
pub(super) async fn rooms(person: &mut Person) -> Result<Vec<Joined>, Failure> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Joined>,
    }
    let page: Page =
        authorized(person, |services| services.chat(Method::GET, "/api/rooms")).await?;
    Ok(page.items)
}

pub(super) async fn send(
    person: &mut Person,
    room: &Room,
    message: &str,
    client_message_id: Option<String>,
) -> Result<Sent, Failure> {
    let room_id = match room {
        Room::Known { id, join } => {
            if *join {
                post::<Value>(person, "/api/rooms/join", &json!({ "room_id": id })).await?;
            }
            *id
        }
        Room::New(name) => {
            post::<Joined>(person, "/api/rooms/create", &json!({ "name": name })).await?.room_id
        }
    };
    let client_message_id = client_message_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let body = json!({
        "room_id": room_id,
        "message": message,
        "client_message_id": client_message_id,
    });
    let answer = post(person, "/api/messages/send", &body).await?;
    Ok(Sent { answer, client_message_id })
}

async fn post<T: serde::de::DeserializeOwned>(
    person: &mut Person,
    path: &str,
    body: &Value,
) -> Result<T, Failure> {
    authorized(person, |services| services.chat(Method::POST, path).json(body)).await
}
