//! Devices: the key agreed with each, and the proofs made with it.

mod browser_name;
mod key;
mod proof;

pub use browser_name::browser_name;
pub use key::{agree, identity, open_key, without_proof};
pub use proof::{
    LoginProof, RefreshProof, TIMESTAMP_WINDOW, check_login_proof, check_refresh_proof,
};
