//! Older session tables and vaults, with good, malformed and duplicate rows in them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod draws;
mod migrations;
mod older_sessions;
mod older_vault;
mod world;
