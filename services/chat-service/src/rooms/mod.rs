//! What is done with rooms and in them, each in one transaction.

mod create;
mod invite;
mod join;
mod leave;
mod name;
mod remove;
mod send;
mod text;

pub(crate) use create::create;
pub(crate) use invite::invite;
pub(crate) use join::join;
pub(crate) use leave::leave;
pub(crate) use name::RoomName;
pub(crate) use remove::remove;
pub(crate) use send::{Draft, Sent, send};
pub(crate) use text::{ClientMessageId, MessageText};
