//! Follows the issuer's change feed, for ever, and knows how far it can be trusted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use common::settings::Secret;
use futures_util::StreamExt as _;
use reqwest::{Client, StatusCode};
use tokio::time::{sleep, timeout};

use crate::key_source;
use crate::reason::Refusal;
use crate::settings::VerifierSettings;
use crate::sse::{Event, Parser, Revocation};
use crate::verifier::Inner;

/// The feed sends a comment every 5 seconds; three missed ones mean that it is gone.
const SILENCE: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What the feed lets a verifier believe.
pub(crate) struct FeedState {
    stale_limit: Duration,
    /// Without a feed (static keys) there is nothing to wait for.
    followed: bool,
    keys_loaded: AtomicBool,
    caught_up: AtomicBool,
    /// When a stream that had caught up was last heard.
    heard: Mutex<Option<Instant>>,
}

impl FeedState {
    pub(crate) fn new(stale_limit: Duration, followed: bool) -> Self {
        Self {
            stale_limit,
            followed,
            keys_loaded: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            heard: Mutex::new(None),
        }
    }

    pub(crate) fn can_judge(&self) -> Result<(), Refusal> {
        self.trusted().map_err(|_| Refusal::CannotJudge)
    }

    pub(crate) fn readiness(&self) -> Result<(), String> {
        self.trusted().map_err(str::to_owned)
    }

    fn trusted(&self) -> Result<(), &'static str> {
        if !self.followed {
            return Ok(());
        }
        if !self.keys_loaded.load(Ordering::Acquire) {
            return Err("no keys have been fetched yet");
        }
        if !self.caught_up.load(Ordering::Acquire) {
            return Err("the change feed has not been replayed yet");
        }
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_some_and(|heard| heard.elapsed() <= self.stale_limit) {
            Ok(())
        } else {
            Err("the change feed has been silent for longer than the stale limit")
        }
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Where the feed is and who we are to it.
pub(crate) struct Feed {
    client: Client,
    url: String,
    client_id: String,
    client_secret: Secret,
}

impl Feed {
    pub(crate) fn new(settings: &VerifierSettings) -> Result<Self, String> {
        Ok(Self {
            client: key_source::client()?,
            url: format!("{}/.well-known/jwks/changes", settings.base_url()),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
        })
    }
}

/// Reconnects until the last handle on the verifier is gone.
pub(crate) async fn follow(inner: Weak<Inner>, feed: Feed) {
    let mut last_id = None;
    let mut pause = FIRST_RETRY;
    loop {
        let Some(verifier) = inner.upgrade() else { return };
        let lost = load_keys(&verifier).await;
        let lost = match lost {
            Ok(()) => stream(verifier, &inner, &feed, &mut last_id, &mut pause).await,
            Err(reason) => {
                drop(verifier);
                reason
            }
        };
        let Some(verifier) = inner.upgrade() else { return };
        verifier.metrics.feed_connected.set(0);
        tracing::warn!(reason = lost, "feed_lost");
        drop(verifier);
        sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

async fn load_keys(verifier: &Arc<Inner>) -> Result<(), String> {
    if verifier.feed.keys_loaded.load(Ordering::Acquire) {
        return Ok(());
    }
    let count = verifier.keys.prefetch().await?;
    verifier.feed.keys_loaded.store(true, Ordering::Release);
    tracing::info!(count, "keys_loaded");
    Ok(())
}

/// Reads one connection to its end and says why it ended.
async fn stream(
    verifier: Arc<Inner>,
    inner: &Weak<Inner>,
    feed: &Feed,
    last_id: &mut Option<String>,
    pause: &mut Duration,
) -> String {
    drop(verifier);
    let response = match connect(feed, last_id.as_deref()).await {
        Ok(response) => response,
        Err(reason) => return reason,
    };
    let mut bytes = response.bytes_stream();
    let mut parser = Parser::default();
    let mut caught_up = false;
    loop {
        let piece = match timeout(SILENCE, bytes.next()).await {
            Err(_) => return format!("nothing heard for {SILENCE:?}"),
            Ok(None) => return "the stream ended".to_owned(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(Some(Ok(piece))) => piece,
        };
        let Some(verifier) = inner.upgrade() else { return "nobody is left to verify".to_owned() };
        let Ok(events) = parser.feed(&piece) else { return "a line is too long".to_owned() };
        for (event, id) in events {
            match apply(&verifier, &event).await {
                Some(Applied::CaughtUp) => caught_up = true,
                Some(Applied::Reset) => caught_up = false,
                Some(Applied::Revoked) => {}
                // The id is kept back, so that the event comes again.
                None => return format!("an event `{}` that can't be understood", event.name),
            }
            if id.is_some() {
                *last_id = id;
            }
        }
        if caught_up {
            *pause = FIRST_RETRY;
            verifier.feed.hear();
            verifier.metrics.feed_connected.set(1);
            verifier.metrics.feed_last_heard.set(verifier.clock.now().timestamp());
        }
        let left = verifier.tombstones.sweep(verifier.clock.now().timestamp());
        verifier.metrics.tombstones.set(i64::try_from(left).unwrap_or(i64::MAX));
    }
}

async fn connect(feed: &Feed, last_id: Option<&str>) -> Result<reqwest::Response, String> {
    let mut request = feed
        .client
        .get(&feed.url)
        .basic_auth(&feed.client_id, Some(feed.client_secret.expose()))
        .header("accept", "text/event-stream");
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let answer = timeout(SILENCE, request.send()).await;
    let response =
        answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::UNAUTHORIZED => {
            Err("the issuer refuses our client id or secret; see verifier.client_secret".to_owned())
        }
        status => Err(format!("the issuer answered {status}")),
    }
}

enum Applied {
    CaughtUp,
    Reset,
    Revoked,
}

/// `None` for an event of ours that does not parse; events of other names mean nothing to us.
async fn apply(verifier: &Arc<Inner>, event: &Event) -> Option<Applied> {
    match event.name.as_str() {
        "caught_up" => {
            verifier.feed.hear();
            verifier.feed.caught_up.store(true, Ordering::Release);
            Some(Applied::CaughtUp)
        }
        "reset" => {
            verifier.feed.caught_up.store(false, Ordering::Release);
            verifier.tokens.invalidate_all();
            Some(Applied::Reset)
        }
        "key_revoked" | "session_revoked" | "jti_revoked" => {
            let revocation: Revocation = serde_json::from_str(&event.data).ok()?;
            if let Revocation::Kid { kid, .. } = &revocation {
                verifier.keys.remove(kid).await;
            }
            verifier.tombstones.add(revocation);
            Some(Applied::Revoked)
        }
        _ => Some(Applied::Revoked),
    }
}
