//! Live delivery: every replica hears of every change, reads it once for all its subscribers, and
//! each WebSocket keeps count of what it has sent, so that nothing is missed or sent twice.

mod change;
mod close;
mod connection;
mod followed;
mod frame;
mod hub;
mod keep_presence;
mod mailbox;
mod places;
mod presence;
mod reading;

pub(crate) use change::Change;
pub(crate) use connection::Connection;
pub(crate) use hub::Hub;
pub(crate) use places::Places;

/// Messages read at once from the database.
const PAGE: i64 = 100;
