//! Sign-ins, accounts and sessions.

mod accounts;
mod arrival;
mod browser;
mod cache;
mod end;
mod ending;
mod logout;
mod return_to;
mod sign_in;
mod state_key;
pub mod states;
mod watch;

pub use accounts::find_or_create_account;
pub use arrival::Visitor;
pub use browser::Browser;
pub use cache::SessionCache;
pub(crate) use end::end_expired;
pub use end::{UnlinkedAll, end_all_by_user, end_by_user, unlink, unlink_all};
pub(crate) use ending::hear_endings;
pub use logout::hear;
pub use sign_in::{SignedIn, Wish, finish, redeem, start};
pub use state_key::StateKey;
pub use watch::watch;
