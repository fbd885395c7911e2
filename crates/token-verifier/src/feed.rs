//! Follows the issuer's change feed, for ever.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use common::settings::Secret;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::change::{Change, Revocation, Whose};
use crate::client::{client, describe};
use crate::judge::Judge;
use crate::settings::VerifierSettings;
use crate::sse::{Event, Parser};

/// The feed sends a comment every 5 seconds; three missed ones mean that it is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// Where the feed is, who we are to it, and how far we have read.
#[derive(Clone)]
pub(crate) struct Feed {
    client: Client,
    url: String,
    client_id: String,
    client_secret: Option<Secret>,
    silence: Duration,
    last_id: Option<HeaderValue>,
    /// Whether the revocations that come were made before we could have heard of them.
    starting: bool,
    backoff: Backoff,
}

impl Feed {
    pub(crate) fn new(settings: &VerifierSettings) -> Result<Self, String> {
        Ok(Self {
            client: client(settings.ca_path.as_deref())?,
            url: format!("{}/.well-known/jwks/changes", settings.base_url()),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            // A lost connection must be noticed in time to make another.
            silence: SILENCE.min(settings.stale_limit.0 * 3 / 4),
            last_id: None,
            starting: true,
            backoff: Backoff::default(),
        })
    }

    pub(crate) async fn follow(mut self, judge: Arc<Judge>) {
        loop {
            let Err(reason) = self.read(&judge).await;
            judge.lose_feed(&reason);
            sleep(self.backoff.pause()).await;
        }
    }

    /// Reads one connection until it is lost, and says why it was.
    async fn read(&mut self, judge: &Judge) -> Result<Infallible, String> {
        let mut response = self.connect().await?;
        let mut parser = Parser::default();
        let mut at_head = false;
        loop {
            let piece = timeout(self.silence, response.chunk())
                .await
                .map_err(|_| format!("nothing heard for {:?}", self.silence))?
                .map_err(|error| describe(&error))?
                .ok_or("the stream ended")?;
            for event in parser.feed(&piece).map_err(|_| "an event is too large")? {
                self.take(judge, event, &mut at_head).await?;
            }
            judge.metrics.tombstones.set(judge.tombstones.count());
            // Before the end of its replay a connection proves nothing, however lively it is.
            if at_head {
                self.backoff.reset();
                judge.hear_feed();
            }
        }
    }

    async fn connect(&self) -> Result<Response, String> {
        let mut request = self.client.get(&self.url).header(ACCEPT, "text/event-stream");
        if let Some(secret) = &self.client_secret {
            request = request.basic_auth(&self.client_id, Some(secret.expose()));
        }
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        let answer = timeout(self.silence, request.send()).await;
        let response = answer.map_err(|_| "no answer")?;
        let response = response.map_err(|error| describe(&error))?;
        match response.status() {
            StatusCode::OK if is_event_stream(&response) => Ok(response),
            StatusCode::OK => Err("the answer is no event stream".to_owned()),
            StatusCode::UNAUTHORIZED => {
                Err("client id or secret are refused; see `verifier.client_secret`".to_owned())
            }
            status => Err(format!("the answer is {status}")),
        }
    }

    async fn revoke(&self, judge: &Judge, revocation: Revocation) {
        let (revoked, at) = (revocation.whose.clone(), revocation.at);
        judge.tombstones.add(revocation);
        if let Some(at) = at.filter(|_| !self.starting) {
            judge.observe_delay(at);
        }
        if let Whose::Kid(kid) = revoked {
            judge.keys.remove(&kid).await;
        }
    }

    /// An event that can't be read ends the connection and keeps its id back, so that it comes
    /// again and nothing is judged past the stale limit without it.
    async fn take(
        &mut self,
        judge: &Judge,
        event: Event,
        at_head: &mut bool,
    ) -> Result<(), String> {
        let change = Change::parse(&event)
            .ok_or_else(|| format!("an event `{}` that can't be understood", event.name))?;
        match change {
            Change::Revoked(revocation) => self.revoke(judge, revocation).await,
            Change::CaughtUp => {
                *at_head = true;
                self.starting = false;
            }
            Change::Reset => {
                *at_head = false;
                self.starting = true;
                self.last_id = None;
                judge.start_over();
            }
            Change::Other => {}
        }
        if let Some(id) = event.id {
            // Without one the feed begins at the beginning.
            self.last_id = HeaderValue::from_str(&id).ok().filter(|id| !id.is_empty());
        }
        Ok(())
    }
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}
