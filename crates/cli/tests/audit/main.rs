//! `latchkey audit`, as an operator sees it, and what it says of a database that somebody changed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod forget;
mod purge;
mod rounds;
mod verify;
mod world;
