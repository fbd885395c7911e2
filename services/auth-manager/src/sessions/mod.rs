//! Sign-ins, accounts and sessions.

mod accounts;
mod cache;
mod state_key;
pub mod states;

pub use accounts::find_or_create_account;
pub use cache::SessionCache;
pub use state_key::StateKey;
