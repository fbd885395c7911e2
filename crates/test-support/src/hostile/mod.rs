//! What nobody means well with, sent to every operation of a service's OpenAPI document: the same
//! table for all services.

mod bodies;
mod operation;
mod paths;

use std::net::SocketAddr;

use self::operation::{Guard, Operation};
use crate::{Answer, RawAnswer, RawConnection, TestBrowser, TestServer};

/// A running service and what opens it.
pub struct Target {
    address: SocketAddr,
    metrics_url: String,
    bearer: String,
    basic: String,
    browser: String,
    operations: Vec<Operation>,
}

impl Target {
    /// The service, an access token that it takes, and `Basic` credentials of an OAuth client,
    /// where it knows any.
    pub async fn new(server: &TestServer, token: &str, basic: &str) -> Self {
        let document = get(&server.url("/openapi.json")).await.json;
        Self {
            address: server.address(),
            metrics_url: server.admin_url("/metrics"),
            bearer: token.to_owned(),
            basic: basic.to_owned(),
            browser: String::new(),
            operations: Operation::list(&document),
        }
    }

    /// With a browser that is signed in.
    #[must_use]
    pub fn with_browser(self, browser: &TestBrowser) -> Self {
        Self { browser: browser.head_lines(), ..self }
    }

    /// The head lines that open it.
    fn authorization(&self, operation: &Operation) -> String {
        match operation.guard {
            Guard::Nobody => String::new(),
            Guard::Bearer => format!("Authorization: Bearer {}\r\n", self.bearer),
            Guard::Client => format!("Authorization: Basic {}\r\n", self.basic),
            Guard::Browser => self.browser.clone(),
        }
    }

    /// A request whose head has these further lines.
    async fn ask(&self, method: &str, target: &[u8], lines: &str, body: &[u8]) -> RawAnswer {
        let rest = format!(" HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        let request = [method.as_bytes(), b" ", target, rest.as_bytes(), body].concat();
        RawConnection::open(self.address).await.ask(&request).await
    }

    /// That all of it cost the service nothing: it lives, and has answered nothing with 5xx.
    async fn is_well(&self) {
        assert_eq!(self.ask("GET", b"/health", "", b"").await.status, 200);
        let metrics = get(&self.metrics_url).await.text;
        let faults: Vec<_> = metrics.lines().filter(|line| line.contains("status=\"5")).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
}

async fn get(url: &str) -> Answer {
    let client = reqwest::Client::builder().build().expect("a client");
    Answer::read(client.get(url).send().await.expect("an answer")).await.expect(200)
}

/// Checks the one error body, or OAuth's; what is no HTTP has an empty 400.
#[track_caller]
fn check_error(what: &str, guard: Guard, answer: &RawAnswer) {
    let text = |name: &str| answer.json[name].as_str().is_some_and(|text| !text.is_empty());
    let own = ["error", "code", "operation", "request_id"].into_iter().all(text)
        && answer.json.get("details").is_some();
    let oauth = guard == Guard::Client && text("error") && text("error_description");
    let unread = answer.status == 400 && answer.text.is_empty();
    assert!(own || oauth || unread, "{what}: {answer:?}");
}

/// The beginning of what may be very long.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned()
}
