//! What a service with sealed columns needs besides sealing and opening: its keyring from its
//! settings, a start that is refused where the ring lacks a key still in use, and an operator's
//! rewrap and verify.
//!
//! A service lists its columns once, as [`SealedColumn`]s, with the identity functions that its
//! own code seals with.

mod column;
mod key_check;
mod key_use;
mod rewrap;
mod settings;
mod verify;

pub use column::{KeyColumn, SealedColumn};
pub use key_check::KeyCheck;
pub use key_use::{KeyUse, count_keys, find_missing_key};
pub use rewrap::{RewrapError, Rewrapped, rewrap};
pub use settings::{KeyringSettings, PKCS11};
pub use verify::{Damage, Verified, verify};
