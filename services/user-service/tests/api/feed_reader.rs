//! Reads the change feed as any client of the contract would.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use test_support::TestServer;
use tokio::time::timeout;

use super::support::{FEED_CLIENT, TestApp};

/// Far longer than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event with its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
    pub(crate) id: String,
}

pub(crate) struct FeedReader {
    response: Response,
    text: String,
}

impl FeedReader {
    pub(crate) async fn open(app: &TestApp, server: &TestServer, last_id: Option<&str>) -> Self {
        let response = Self::connect(app, server, last_id).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    pub(crate) async fn connect(
        app: &TestApp,
        server: &TestServer,
        last_id: Option<&str>,
    ) -> Response {
        let (client, secret) = FEED_CLIENT;
        let mut request = app
            .client
            .get(server.url("/.well-known/jwks/changes"))
            .basic_auth(client, Some(secret));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }

    /// The next event; comments are passed over.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                if block.contains("data: ") {
                    let data = serde_json::from_str(&field("data: ")).unwrap();
                    return Event { name: field("event: "), data, id: field("id: ") };
                }
                continue;
            }
            let piece = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time");
            let piece = piece.unwrap().expect("a stream without end");
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// Events up to and without `caught_up`.
    pub(crate) async fn replay(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            if event.name == "caught_up" {
                return events;
            }
            events.push(event);
        }
    }

    /// The next revocation of a session.
    pub(crate) async fn next_session(&mut self) -> Event {
        loop {
            let event = self.next().await;
            if event.name == "session_revoked" {
                return event;
            }
        }
    }

    /// Reads until the server ends the stream.
    pub(crate) async fn until_end(mut self) {
        loop {
            let piece = timeout(PATIENCE, self.response.chunk()).await.expect("an end in time");
            if !matches!(piece, Ok(Some(_))) {
                return;
            }
        }
    }
}
