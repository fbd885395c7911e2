//! Grants: stored sealed, drawn on, shared, revoked.

mod seal;

pub use seal::{access_token_identity, id_token_identity, token_identity, verifier_identity};
