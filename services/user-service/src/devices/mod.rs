//! Devices: the key agreed with each, and the proofs made with it.

mod key;
mod proof;

pub use key::{agree, identity, open_key};
pub use proof::{
    LoginProof, RefreshProof, TIMESTAMP_WINDOW, check_login_proof, check_refresh_proof,
};
