//! `latchkey vault` against both services' real databases.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod grants;
mod interrupted;
mod live;
mod rewrap;
mod rotation;
mod start;
mod token;
mod world;
