//! From the revocation of the service keys to the refusal by every one of three verifiers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use common::clock::Clock;
use user_service::service_keys::{Occasion, Ring};

use crate::figure::{Figure, Goal, Unit};
use crate::house::{House, Session};
use crate::load::{Latencies, ms};
use crate::revocations::{VERIFIERS, accepted, refused};

const ROUNDS: usize = 100;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::with_service_keys(VERIFIERS).await?;
    let mut ring = house.ring().await?;
    let mut session = house.join().await?;
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        taken.push(until_refused(&house, &mut ring, &session).await?);
        // Of the key that signs now.
        house.refresh(&mut session).await?;
    }
    let latencies = Latencies::new(taken);
    let [half, most, all] = [0.5, 0.99, 1.0].map(|share| ms(latencies.percentile(share)));
    Ok(vec![Figure {
        what: "emergency rotation of the service keys to refusal by the last of three verifiers, p99",
        value: most,
        unit: Unit::Milliseconds,
        goal: Some(Goal::AtMost(100.0)),
        detail: format!("{ROUNDS} rotations, p50 {half:.2} ms, longest {all:.1} ms"),
        limit: "the feed's path, as with a logout; and the rotation's own transaction, since its time \
                is taken before its commit",
    }])
}

/// From the rotation, at its time by the database's clock, which is this machine's, until each
/// chat-service has refused. That is before the commit: none of it is left out.
async fn until_refused(house: &House, ring: &mut Ring, session: &Session) -> Result<Duration> {
    accepted(house, &session.access_token).await?;
    let listed = ring.list().await?;
    let current = listed.into_iter().find(|key| key.state == "current");
    let current = current.context("no service key signs")?.kid;
    let emergency = Occasion::Emergency { current, with_next: false };
    let until_refused = async {
        refused(house, &session.access_token).await?;
        Ok::<_, anyhow::Error>(Clock::default().now())
    };
    // The command goes on to make the new next key.
    let (rotation, refused_at) = tokio::join!(ring.rotate(&emergency), until_refused);
    Ok((refused_at? - rotation?.rotated_at).to_std()?)
}
