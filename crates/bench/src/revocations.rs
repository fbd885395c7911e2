//! From a logout to the refusal by every one of three verifiers.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use crate::figure::{Figure, Goal, Unit};
use crate::house::{House, Session};
use crate::load::{Latencies, ms};

const VERIFIERS: usize = 3;
const ROUNDS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);
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
    let urls: Vec<_> = house.chats.iter().map(|chat| chat.url("/api/rooms")).collect();
    for url in &urls {
        let status = house.get(url, &session.access_token).await?;
        if status != StatusCode::OK {
            bail!("a fresh token is answered with {status}");
        }
    }
    house.log_out(session).await?;
    let ended = Instant::now();
    let refused = try_join_all(urls.iter().map(|url| async move {
        while house.get(url, &session.access_token).await? != StatusCode::UNAUTHORIZED {
            if ended.elapsed() > PATIENCE {
                bail!("not refused after {PATIENCE:?}");
            }
            sleep(ASK_EVERY).await;
        }
        Ok(ended.elapsed())
    }));
    Ok(refused.await?.into_iter().max().unwrap_or_default())
}
