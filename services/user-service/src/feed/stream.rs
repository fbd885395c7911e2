use std::time::Duration;

use bytes::Bytes;
use common::clock::Clock;
use common::database::Pool;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::clients::Slot;
use super::event::render;
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
    let mut epochs = source.hub.epoch();
    send(sender, COMMENT).await?;
    // The hub's first reading sends nothing: what it skips must be there for the replay to see.
    let epoch = epochs.wait_for(Option::is_some).await.map_err(|_| Gone)?.clone();
    match replay(source, sender, last_id).await? {
        Ok(replayed) if Some(&replayed) == epoch.as_ref() => {}
        // The database was replaced before the hub has noticed.
        Ok(_) => return Err(Gone),
        Err(error) => {
            tracing::warn!(%error, "feed_replay_failed");
            return Err(Gone);
        }
    }
    let mut comments = tokio::time::interval(COMMENT_EVERY);
    loop {
        tokio::select! {
            // Another database has other transactions: readers come back and replay anew.
            () = replaced(&mut epochs, epoch.as_deref()) => return Err(Gone),
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

/// Waits until the hub reads from another life of the database than `epoch`, or is no more.
async fn replaced(epochs: &mut watch::Receiver<Option<String>>, epoch: Option<&str>) {
    let _ = epochs.wait_for(|now| now.as_deref() != epoch).await;
}

/// Sends what the reader has missed, page by page, then `caught_up`; answers the epoch that it was
/// read in.
async fn replay(
    source: &Source,
    sender: &Sender<Bytes>,
    last_id: Option<&str>,
) -> Result<Result<String, Error>, Gone> {
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
    Ok(Ok(state.epoch))
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
