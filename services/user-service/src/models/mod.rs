//! Rows and their queries, one table a file.

pub mod auth_session;
pub mod device;
pub mod device_nonce;
pub mod key_change;
pub mod password_parameters;
pub mod published_key;
pub mod user;
pub mod user_keyset;
