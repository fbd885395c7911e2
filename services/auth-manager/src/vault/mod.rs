//! Grants: stored sealed, drawn on, shared, revoked.

mod draw;
mod flights;
mod fresh;
mod lease;
mod ledger;
mod lock;
mod outbox;
mod permission;
mod refresh;
mod scope;
mod seal;
mod settle;

pub use draw::{DrawTools, Draws};
pub use fresh::AccessToken;
pub use ledger::{Ledger, Use};
pub use lock::lock_identity;
pub use outbox::Outbox;
pub use permission::{Draw, DrawnBy};
pub use scope::Scope;
pub use seal::{access_token_identity, id_token_identity, token_identity, verifier_identity};
