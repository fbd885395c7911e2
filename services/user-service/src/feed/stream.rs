use std::time::Duration;

use bytes::Bytes;
use common::clock::Clock;
use common::database::Pool;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::mpsc::{self, Sender};
use tokio_util::sync::CancellationToken;

use super::clients::Slot;
use super::hub::Hub;
use super::position::Position;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::key_change::{self, KeyChange};

/// A comment goes out this often, so that readers know the stream for alive.
const COMMENT_EVERY: Duration = Duration::from_secs(5);
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// Rows in a page of the replay.
const PAGE: i64 = 500;
/// Pieces that wait for a slow reader; the replay waits with them.
const BUFFER: usize = 64;

/// What a stream needs.
pub struct Source {
    /// Where new changes come from.
    pub hub: Hub,
    /// Where missed ones come from.
    pub pool: Pool,
    /// The time.
    pub clock: Clock,
    /// Cancelled when the service drains.
    pub draining: CancellationToken,
    /// Counts open streams.
    pub metrics: ServiceMetrics,
}

/// The reader is gone, or the stream must end.
struct Gone;

/// Opens a stream that goes on from `last_event_id`, or tells everything that still matters.
pub fn open(
    source: Source,
    slot: Slot,
    last_event_id: Option<String>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        source.metrics.feed_streams.inc();
        let draining = source.draining.clone();
        tokio::select! {
            _ = serve(&source, &sender, last_event_id.as_deref()) => {}
            () = draining.cancelled() => {}
            () = sender.closed() => {}
        }
        source.metrics.feed_streams.dec();
        drop(slot);
    });
    unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (Ok(piece), receiver))
    })
}

async fn serve(source: &Source, sender: &Sender<Bytes>, last_id: Option<&str>) -> Result<(), Gone> {
    // Subscribed before the replay reads: what is committed in between comes twice, never not.
    let mut live = source.hub.subscribe();
    send(sender, COMMENT).await?;
    if let Err(error) = replay(source, sender, last_id).await? {
        tracing::warn!(%error, "feed_replay_failed");
        return Err(Gone);
    }
    let mut comments = tokio::time::interval(COMMENT_EVERY);
    loop {
        tokio::select! {
            event = live.recv() => match event {
                Ok(event) => send(sender, event).await?,
                Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => {
                    return Err(Gone);
                }
            },
            _ = comments.tick() => {
                if source.hub.is_fresh() {
                    send(sender, COMMENT).await?;
                }
            }
        }
    }
}

/// Sends what the reader has missed, page by page, then `caught_up`.
async fn replay(
    source: &Source,
    sender: &Sender<Bytes>,
    last_id: Option<&str>,
) -> Result<Result<(), Error>, Gone> {
    let state = match read_state(source).await {
        Ok(state) => state,
        Err(error) => return Ok(Err(error)),
    };
    let known = last_id.map(|text| Position::parse(text, &state));
    if known == Some(None) {
        send(sender, Bytes::from_static(b"event: reset\ndata: {}\n\n")).await?;
    }
    let mut cursor = known.flatten().unwrap_or_else(|| Position::start(&state)).key();
    loop {
        let page = match read_page(source, cursor).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        for change in &page {
            cursor = (change.transaction_id, change.id);
            send(sender, render(change, &Position::after(change, &state))).await?;
        }
        if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            break;
        }
    }
    let caught_up = format!("id: {}\nevent: caught_up\ndata: {{}}\n\n", Position::horizon(&state));
    send(sender, caught_up.into()).await?;
    Ok(Ok(()))
}

async fn read_state(source: &Source) -> Result<key_change::FeedState, Error> {
    let mut connection = source.pool.get().await?;
    Ok(key_change::state(&mut connection).await?)
}

async fn read_page(source: &Source, cursor: (i64, i64)) -> Result<Vec<KeyChange>, Error> {
    let mut connection = source.pool.get().await?;
    Ok(key_change::list_after(&mut connection, cursor, source.clock.now(), PAGE).await?)
}

async fn send(sender: &Sender<Bytes>, piece: Bytes) -> Result<(), Gone> {
    sender.send(piece).await.map_err(|_| Gone)
}

/// A change as an event.
pub(super) fn render(change: &KeyChange, position: &Position) -> Bytes {
    let name = match change.kind.as_str() {
        "kid" => "key_revoked",
        "sid" => "session_revoked",
        _ => "jti_revoked",
    };
    let mut data = json!({ "until": change.until.timestamp() });
    data[change.kind.as_str()] = change.value.as_str().into();
    format!("id: {position}\nevent: {name}\ndata: {data}\n\n").into()
}
