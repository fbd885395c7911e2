//! Rows and their queries, one table a file.

pub mod message;
pub mod presence;
pub mod room;
pub mod room_invitation;
pub mod room_member;
