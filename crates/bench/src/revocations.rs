//! From a logout to the refusal by every one of three verifiers.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use crate::figure::{Figure, Goal, Unit};
use crate::house::{House, Session};
use crate::load::{Latencies, ms};

pub(crate) const VERIFIERS: usize = 3;
const ROUNDS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);
/// What a chat-service answers whose token it accepts.
const ASKED: &str = "/api/rooms";
/// Without a pause the asking itself fills the cores that the revocation needs.
const ASK_EVERY: Duration = Duration::from_millis(1);

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::start(VERIFIERS).await?;
    let first = house.join().await?;
    let (username, device) = (first.username, first.device);
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        let session = house.log_in(&username, &device).await?;
        taken.push(until_refused(&house, &session).await?);
    }
    let latencies = Latencies::new(taken);
    let [half, most, all] = [0.5, 0.99, 1.0].map(|share| ms(latencies.percentile(share)));
    Ok(vec![Figure {
        what: "logout to refusal by the last of three verifiers, p99",
        value: most,
        unit: Unit::Milliseconds,
        goal: Some(Goal::AtMost(50.0)),
        detail: format!("{ROUNDS} logouts, p50 {half:.2} ms, longest {all:.1} ms"),
        limit: "the feed's path: commit, notification, one reading, a server-sent event; and the millisecond \
                between two questions",
    }])
}

/// From the logout's answer until each chat-service has refused.
async fn until_refused(house: &House, session: &Session) -> Result<Duration> {
    accepted(house, &session.access_token).await?;
    house.log_out(session).await?;
    let ended = Instant::now();
    refused(house, &session.access_token).await?;
    Ok(ended.elapsed())
}

/// An error where a chat-service refuses the token.
pub(crate) async fn accepted(house: &House, token: &str) -> Result<()> {
    for chat in &house.chats {
        let status = house.get(&chat.url(ASKED), token).await?;
        if status != StatusCode::OK {
            bail!("a fresh token is answered with {status}");
        }
    }
    Ok(())
}

/// Waits until each chat-service refuses the token.
pub(crate) async fn refused(house: &House, token: &str) -> Result<()> {
    let started = Instant::now();
    let refused = try_join_all(house.chats.iter().map(|chat| async move {
        while house.get(&chat.url(ASKED), token).await? != StatusCode::UNAUTHORIZED {
            if started.elapsed() > PATIENCE {
                bail!("not refused after {PATIENCE:?}");
            }
            sleep(ASK_EVERY).await;
        }
        Ok(())
    }));
    refused.await.map(drop)
}
