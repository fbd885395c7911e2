//! The change feed: revocations as server-sent events, within milliseconds of their commit.
//!
//! One [`Hub`] a process reads new changes and hands them to all streams; a stream replays what a
//! reader missed, then passes on what the hub sends. Event ids are positions below which nothing
//! can still appear and nothing is unsent, so that resuming from any of them skips nothing.

mod clients;
mod event;
mod hub;
mod position;
mod revoked;
mod stream;

pub use clients::FeedClients;
pub use hub::Hub;
pub use stream::{Source, open};
