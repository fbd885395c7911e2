//! Grants: stored sealed, drawn on, shared, revoked.

mod lock;
mod seal;

pub use lock::lock_identity;
pub use seal::{access_token_identity, id_token_identity, token_identity, verifier_identity};
