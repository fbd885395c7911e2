//! The queries of accounts, sessions and vault, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod accounts;
mod counts;
mod over;
mod sessions;
mod users;
mod vault;
mod world;
